# The keeper: parent of one hook. It holds the hook's lock (its standard input), waits for the
# hook, ends the hook's process group at the limit, and writes the exit code by rename before it
# leaves, which frees the lock. So whoever started it may be killed, and nobody starts a second one.
# It is given to `sh` in a variable, as the shim is; the hook's own command is in another.
#
#   $1 what the names of its files begin with   $2 limit in seconds
#   then what becomes the hook

# A variable of the same name that the user exported would reach the hook with the value given here.
unset AGENTCTL_PROGRAM
keeper_place=$1 keeper_limit=$2
shift 2

# A command, never '': an ignored signal would be ignored by the hook, too.
trap : HUP INT QUIT TERM PIPE
keeper_umask=$(umask)

put() {
	umask 077
	printf '%s\n' "$1" >"$2.new" && read -r back <"$2.new" && [ "$back" = "$1" ] &&
		PATH=/usr/bin:/bin:$PATH command mv -f -- "$2.new" "$2"
	written=$?
	umask "$keeper_umask"
	return "$written"
}

"$@" </dev/null &
hook=$!
exec >/dev/null 2>&1

timer() {
	nap=
	trap '[ -z "$nap" ] || kill "$nap"; exit 0' TERM
	PATH=/usr/bin:/bin:$PATH sleep "$keeper_limit" &
	nap=$!
	wait "$nap"
	put limit "$keeper_place.limit"
	# Its own group, or none yet if the machine is that slow.
	# Written so that dash, bash and busybox all understand it.
	kill -9 "-$hook" || kill -9 "$hook"
}
timer </dev/null &
timer=$!

while :; do
	wait "$hook"
	code=$?
	# A signal to this shell interrupts the waiting: the hook is still there.
	{ [ "$code" -gt 128 ] && kill -0 "$hook"; } || break
done
kill "$timer"
[ ! -e "$keeper_place.limit" ] || code=limit
until put "$code" "$keeper_place.code"; do
	[ -d "${keeper_place%/*}" ] || exit 1
	PATH=/usr/bin:/bin:$PATH sleep 5
done
