#!/bin/sh
# The project's own environment. A real project would install its requirements here:
#     .venv/bin/python -m pip install -r requirements.txt
# This one has a single library, which lies in library/ and is put on the path of .venv alone: no network is needed.
set -eu
cd "$(dirname "$0")"
"${PYTHON:-python3}" -m venv --without-pip .venv
site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "$PWD/library" > "$site/library.pth"
.venv/bin/python -c 'import perceptron; print("ready:", perceptron.__file__)'
