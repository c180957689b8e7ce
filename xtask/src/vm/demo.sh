#!/bin/sh
# The demonstration, in the guest: stock Weston on virtio-gpu, and a pipeline that ends in a window of it and in two videos.
# demo.sh HANDOVER OUT: the program `handover`, and the folder of the results.
set -u
handover=$1
out=$2
mkdir -p "$out"

cat >"$out/weston.ini" <<'INI'
[core]
shell=kiosk-shell.so
idle-time=0
require-input=false

[output]
name=Virtual-1
mode=640x480
INI

LIBSEAT_BACKEND=noop weston --backend=drm --renderer=gl --drm-device=card0 --config="$out/weston.ini" \
    --socket=wayland-demo --log="$out/weston.log" >"$out/weston.out" 2>&1 &
weston=$!
export WAYLAND_DISPLAY=wayland-demo

left=120
until [ -S "$XDG_RUNTIME_DIR/$WAYLAND_DISPLAY" ]; do
    left=$((left - 1))
    if [ "$left" -eq 0 ] || ! kill -0 "$weston" 2>/dev/null; then
        echo "Weston did not start; its log:"
        cat "$out/weston.log" "$out/weston.out"
        exit 1
    fi
    sleep 0.5
done

"$handover" run wayland --frames 60 --out "$out" --trace &
run=$!

# A picture every second; the one from the middle of the run is kept, since the window goes before the encoders have ended.
exec 7<>"$HANDOVER_SCREENDUMP"
taken=0
while kill -0 "$run" 2>/dev/null; do
    echo "screendump shot-$taken.png" >&7
    read -r answer <&7
    case $answer in
        ok*) taken=$((taken + 1)) ;;
        *) echo "no screenshot: $answer" ;;
    esac
    sleep 1
done
wait "$run"
status=$?
middle=$((taken / 2))
[ "$taken" -gt 0 ] && mv "$out/../shot-$middle.png" "$out/screenshot.png"
rm -f "$out"/../shot-*.png
kill "$weston"
wait "$weston"
exit "$status"
