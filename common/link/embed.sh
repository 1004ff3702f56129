#!/bin/sh
# A text file as one C string. Usage: embed.sh FILE
exec sed -e 's/\\/&&/g' -e 's/"/\\"/g' -e 's/^/"/' -e 's/$/\\n"/' "$1"
