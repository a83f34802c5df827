# Ends a server and removes its folder when the process that started it has died.
# Arguments: the folder, the signal that ends the server.
# Input: the server's process id whenever it changes, an empty line when it does not run,
# `over` when nothing is left to do.
pid=
while read -r line; do
    if [ "$line" = over ]; then exit; fi
    pid=$line
done
# The input has ended without that word.
if [ -n "$pid" ]; then
    kill -s "$2" "$pid"
    kill -s CONT "$pid"
    tries=0
    while kill -s 0 "$pid" && [ "$tries" -lt 100 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    if [ "$tries" -eq 100 ]; then kill -s KILL "$pid"; fi
fi
rm -rf -- "$1"
