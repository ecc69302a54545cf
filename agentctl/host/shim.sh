# The shim: parent of one agent. It holds the liveness lock (its standard input),
# runs the agent, writes the exit file, and leaves, which frees the lock.
# It is given to `sh -c` as text, so that no file can change under it.
#
#   $1 session directory   $2 session id     $3 Python interpreter   $4 the agent's stdin
#   $5 1: run the timer    $6 variables to set (from AGENTCTL_SET_name)   $7 variables to unset
#   then the agent's argument vector
#
# Everything after the exit file is a convenience: killed at any point, the next
# agentctl finishes the job. Files are named beside this script's reader, host/paths.py.

directory=$1 id=$2 python=$3 input=$4 timed=$5 set=$6 unset=$7
shift 7

# A command, never '': an ignored signal would be ignored by the agent, too.
trap : HUP INT QUIT TERM PIPE
mask=$(umask)

# The system's own tools first: nothing from the agent's directory may stand in for them.
mv() { PATH=/usr/bin:/bin:$PATH command mv "$@"; }

agentctl() {
	(cd / && exec "$python" -P -m agentctl "$@") </dev/null >/dev/null 2>&1
}

# Write $1 to the file $2: by rename, and only if all of it was written.
put() {
	umask 077
	printf '%s\n' "$1" >"$2.new" && read -r back <"$2.new" && [ "$back" = "$1" ] && mv -f -- "$2.new" "$2"
	written=$?
	umask "$mask"
	return "$written"
}

# Wakes at least once a minute, so that a deadline that was moved is noticed and one on
# a clock that was set is kept. It outlives a killed shim only as long as the agent does.
timer() {
	nap= told=
	trap '[ -z "$nap" ] || kill "$nap"; exit 0' TERM
	while kill -0 $$ || { read -r pid rest <"$directory/pid" && kill -0 "$pid"; }; do
		due= left=60
		read -r due <"$directory/fuse"
		case $due in
		'' | *[!0-9]*) ;;
		*) left=$((due - $(PATH=/usr/bin:/bin:$PATH date +%s))) ;;
		esac
		if [ "$left" -le 0 ]; then
			agentctl _tick "$id"
			[ "$due" = "$told" ] || { told=$due; continue; }
			left=5
		elif [ "$left" -gt 60 ]; then
			left=60
		fi
		PATH=/usr/bin:/bin:$PATH sleep "$left" &
		nap=$!
		wait "$nap"
		nap=
	done
}

# Becomes the agent: records who it is under its final pid, then is replaced by it.
become='
directory=$1 mask=$2 set=$3 unset=$4
shift 4
ticks_of() { shift 19; ticks=$1; }
ticks=- boot=-
{
	read -r stat </proc/$$/stat && ticks_of ${stat##*) }
	read -r boot </proc/sys/kernel/random/boot_id
} 2>/dev/null
umask 077
printf "%s\n" "$$ $ticks $boot $PPID" >"$directory/pid.new" || exit 126
PATH=/usr/bin:/bin:$PATH mv -f -- "$directory/pid.new" "$directory/pid" || exit 126
umask "$mask"
for name in $set; do
	eval "export $name=\"\$AGENTCTL_SET_$name\""
	unset "AGENTCTL_SET_$name"
done
for name in $unset AGENTCTL_SHIM; do
	unset "$name"
done
exec "$@"
'

watch=
if [ "$timed" = 1 ]; then
	timer </dev/null >/dev/null 2>&1 &
	watch=$!
fi

# In a subshell, so that this shell's own "Killed" does not end up in the agent's log.
(exec /bin/sh -c "$become" agentctl-agent "$directory" "$mask" "$set" "$unset" "$@") \
	<"$input" >>"$directory/output.log" 2>&1
code=$?

until put "$code" "$directory/exit" 2>/dev/null; do
	# Gone, or no room even for who the agent is: then there never was an agent.
	[ -e "$directory/pid" ] || exit 126
	PATH=/usr/bin:/bin:$PATH sleep 5
done
[ -z "$watch" ] || kill "$watch" 2>/dev/null
agentctl _finalise "$id"
