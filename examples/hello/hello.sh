#!/bin/sh
# A service in a dozen lines: says hello once a second, and goodbye when it is told to stop.
say_goodbye() {
    echo "goodbye from replica $AICTL_REPLICA"
    exit 0
}
trap say_goodbye TERM
count=0
while :; do
    count=$((count + 1))
    echo "${GREETING:-hello} from replica $AICTL_REPLICA, number $count"
    sleep 1 &
    wait $! 2>/dev/null # unlike a sleep in the foreground it is interrupted by TERM at once
done
