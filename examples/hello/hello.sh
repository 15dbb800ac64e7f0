#!/bin/sh
# A service in a dozen lines: says hello once a second, and goodbye when it is told to stop.
trap 'echo "goodbye from replica $AICTL_REPLICA"; exit 0' TERM
count=0
while :; do
    count=$((count + 1))
    echo "${GREETING:-hello} from replica $AICTL_REPLICA, number $count"
    sleep 1 & # in the background, so that TERM is not kept waiting
    wait $!
done
