# The shim: parent of one agent. It holds the liveness lock (its standard input),
# runs the agent, writes the exit file, and leaves, which frees the lock.
# Its output is the agent's log and its error stream the tree, two more locks, which only
# the agent and what it starts may hold: as their output, and as descriptor 9.
# It is given to `sh` as text, so that no file can change under it: in a variable, because
# `ps` shows arguments to everybody.
#
#   $1 session id   $2 its name or -   $3 its directory   $4 Python interpreter
#   $5 the agent's stdin   $6 1: run the timer   $7 boot, machine and pid namespace
#   $8 variables to set (from AGENTCTL_SET_name)   $9 variables to unset
#   then the agent's argument vector
#
# Everything after the exit file is a convenience: killed at any point, the next
# agentctl finishes the job. Files are named beside this script's reader, host/paths.py.

unset AGENTCTL_PROGRAM
exec 9>&2 2>/dev/null
id=$1 directory=$3 python=$4 input=$5 timed=$6 here=$7 set=$8 unset=$9
shift 9

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

now() { PATH=/usr/bin:/bin:$PATH date +%s; }

# A process's line of the table, here into words. A program's name may hold line ends.
look() {
	state='' parent='' ticks=- stat=''
	while read -r line; do
		stat=$stat$line
	done <"/proc/$1/stat" || return 1
	# shellcheck disable=SC2086
	set -- ${stat##*) }
	[ $# -ge 20 ] || return 1
	state=$1 parent=$2
	shift 19
	ticks=$1
}
look self 2>/dev/null
began=$ticks

# The process that started the timer still is its parent. Without /proc its pid must do.
has_shim() {
	if look self; then
		[ "$parent" = "$shim" ]
	else
		kill -0 $$
	fi
}

# The agent lives: the process with its pid began when the agent did, and in this boot.
has_agent() {
	read -r pid start boot rest <"$directory/pid" && look "$pid" &&
		[ "$start $boot" = "$ticks ${here%% *}" ] && [ "$state" != Z ]
}

# Sleep for $1 seconds, in short naps: what has become useless leaves within seconds.
rest() {
	left=$1
	while [ "$left" -gt 0 ]; do
		PATH=/usr/bin:/bin:$PATH sleep "$((left < 5 ? left : 5))" &
		nap=$!
		wait "$nap"
		nap=
		left=$((left - 5))
		has_shim || has_agent || exit 0
	done
}

# When something is to be decided, and the deadline at which the agent is to be stopped.
read_fuse() {
	due='' stop=''
	{ read -r due && read -r stop; } <"$directory/fuse"
	case $due in '' | *[!0-9]*) due='' ;; esac
	case $stop in '' | *[!0-9]*) stop='' ;; esac
}

# The deadline has passed, and no agentctl could be called: end the agent, once it is sure who that is.
fire() {
	read_fuse
	[ -n "$stop" ] && [ "$(now)" -ge "$stop" ] && has_agent && put "$stop" "$directory/fired" || return
	kill -TERM "$pid"
	kill -CONT "$pid"
	rest 10
	has_agent && kill -KILL "$pid"
}

# Wakes at least once a minute, so that a deadline that was moved is noticed and one on
# a clock that was set is kept. It outlives a killed shim only as long as the agent does.
timer() {
	nap='' told='' failed=0
	trap '[ -z "$nap" ] || kill "$nap"; exit 0' TERM
	look self
	shim=$parent
	while has_shim || has_agent; do
		read_fuse
		left=60
		[ -z "$due" ] || left=$((due - $(now)))
		if [ "$left" -gt 0 ]; then
			rest "$((left < 60 ? left : 60))"
			continue
		fi
		[ "$due" = "$told" ] || failed=0
		if agentctl _tick "$id"; then
			failed=0
			[ "$due" != "$told" ] || rest 5
		else
			# Tried at the deadline, five seconds and a minute later.
			failed=$((failed + 1))
			case $failed in
			1) rest 5 ;;
			2) rest 55 ;;
			*) fire; rest 5 ;;
			esac
		fi
		told=$due
	done
}

# Becomes the agent: records who it is under its final pid, then is replaced by it.
# Of itself, not of $$: where /proc is another pid namespace's, $$ is somebody else there.
become='
unset AGENTCTL_PROGRAM
directory=$1 mask=$2 here=$3 shim=$4 set=$5 unset=$6
shift 6
ticks_of() { shift 19; ticks=$1; }
ticks=-
{ read -r stat </proc/self/stat && ticks_of ${stat##*) }; } 2>/dev/null
umask 077
printf "%s\n" "$$ $ticks ${here%% *} $shim ${here#* }" >"$directory/pid.new" || exit 126
PATH=/usr/bin:/bin:$PATH mv -f -- "$directory/pid.new" "$directory/pid" || exit 126
umask "$mask"
for name in $unset AGENTCTL_SHIM; do
	unset "$name"
done
# Last, and in a variable of ours: what is set here may be called like any word above.
for AGENTCTL_SET_ in $set; do
	eval "export $AGENTCTL_SET_=\"\$AGENTCTL_SET_$AGENTCTL_SET_\""
	unset "AGENTCTL_SET_$AGENTCTL_SET_"
done
exec "$@"
'

watch=
if [ "$timed" = 1 ]; then
	# By exec: around a call, a shell keeps copies of what it redirects.
	(
		exec </dev/null >/dev/null 2>&1 9>&-
		timer
	) &
	watch=$!
fi

# In a subshell, so that this shell's own "Killed" does not end up in the agent's log.
(
	export AGENTCTL_PROGRAM="$become"
	exec /bin/sh -c 'eval "$AGENTCTL_PROGRAM"' agentctl-agent \
		"$directory" "$mask" "$here" "$$ $ticks" "$set" "$unset" "$@"
) <"$input" 2>&1 9>&9
code=$?
exec >/dev/null 9>&-

until put "$code" "$directory/exit" 2>/dev/null; do
	# Gone, or no room even for who the agent is: then there never was an agent.
	[ -e "$directory/pid" ] || exit 126
	PATH=/usr/bin:/bin:$PATH sleep 5
done
[ -z "$watch" ] || kill "$watch" 2>/dev/null
agentctl _finalise "$id"
