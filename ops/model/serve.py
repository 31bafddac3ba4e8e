"""Serves the model of target/tools/model on a free port of this machine, says its address, and ends with its standard input."""
import sys

folder = sys.argv[1]
sys.path.insert(0, folder + "/lib")
import xllamacpp  # noqa: E402

params = xllamacpp.CommonParams()
params.model.path = folder + "/model.gguf"
params.n_ctx = 4096
params.n_parallel = 1
params.cpuparams.n_threads = 2
params.warmup = False
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
