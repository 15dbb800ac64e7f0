#!/bin/sh
# Says what it was given, and waits.
echo "stage=$STAGE region=$REGION greeting=${GREETING-none} quiet=${QUIET-0} token of $(($(wc -c <"$TOKEN_FILE"))) bytes"
trap 'exit 0' TERM
while :; do
    sleep 1 &
    wait $!
done
