#!/bin/sh
# Builds the workers' image without Docker and without a registry of images, and runs the sample on workers of it.
#
#   sh docker/rehearse.sh FOLDER        as root, on Linux; FOLDER gets 5 GB
#
# Needs buildah, mmdebstrap, go, and the project's .venv. The base image, which is Beam's (apache/beam_python3.11_sdk),
# is replaced by one that is made here: Debian 12 with its Python 3.11, and Beam's own boot program, built from Beam's
# Go module. Everything after FROM is the Dockerfile's. Beam's boot program then starts the workers in the image, as it
# does on Dataflow. The files that they write are compared with those of a local run of one process.
set -eu
[ $# = 1 ] || { echo "usage: sh docker/rehearse.sh FOLDER" >&2; exit 2; }
for program in buildah mmdebstrap go; do
  command -v $program >/dev/null || { echo "error: $program is needed (Debian: apt-get install $program)" >&2; exit 2; }
done
code=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
python=${PYTHON:-$code/.venv/bin/python}
beam=$(sed -n 's/^apache-beam==//p' "$code/docker/requirements.lock")
port=${PORT:-50110}
storage="--root $folder/storage --runroot $folder/run"
unset PYTHONPATH
export BUILDAH_ISOLATION=chroot

# Beam's Go module has the sources of its container program, but not as a part of the module's own go/ folder.
if [ ! -x "$folder/boot" ]; then
  mkdir -p "$folder/go" && cd "$folder/go"
  [ -f go.mod ] || go mod init boot
  go mod download "github.com/apache/beam/sdks/v2@v$beam"
  cp -r "$(go env GOMODCACHE)/github.com/apache/beam/sdks/v2@v$beam" "$folder/beam"
  chmod -R u+w "$folder/beam"
  cd "$folder/beam" && CGO_ENABLED=0 go build -o "$folder/boot" ./python/container
fi

base=docker.io/apache/beam_python3.11_sdk:$beam
if ! buildah $storage inspect --type image "$base" >/dev/null 2>&1; then
  debian=$folder/debian
  rm -rf "$debian"
  mmdebstrap --mode=root --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates bookworm "$debian"
  rm -f "$debian"/usr/lib/python3*/EXTERNALLY-MANAGED   # as in Beam's image, pip installs for the whole system
  ln -sf python3 "$debian/usr/bin/python"
  if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
    cp /etc/ssl/certs/ca-certificates.crt "$debian/etc/ssl/certs/"   # the certificates that this machine trusts
  fi
  mkdir -p "$debian/opt/apache/beam" && cp "$folder/boot" "$debian/opt/apache/beam/boot"
  container=$(buildah $storage from scratch)
  buildah $storage add -q "$container" "$debian" /
  buildah $storage config --entrypoint '["/opt/apache/beam/boot"]' "$container"
  buildah $storage commit -q --rm "$container" "$base"
  rm -rf "$debian"
fi

image=localhost/llama-mixture:rehearsed
buildah $storage bud --pull-never --layers=false -f "$code/docker/Dockerfile" -t $image "$code"

# Workers in the image: Beam's boot program as a pool, which the job service asks for workers.
container=$(buildah $storage from --pull-never $image)
stop() {
  for pid in ${pool:-} ${service:-}; do
    pkill -KILL --session "$pid" 2>/dev/null || true
  done
  buildah $storage rm "$container" >/dev/null 2>&1 || true
}
trap stop EXIT
out=$folder/out
rm -rf "$out" "$folder/on-workers" && mkdir "$out"
setsid buildah $storage run --volume "$folder:$folder" --volume "$code/samples:$code/samples:ro" "$container" -- \
  /opt/apache/beam/boot --worker_pool >"$folder/pool.log" 2>&1 &
pool=$!
cd "$code"
setsid "$python" -m pipeline.job_service serve --port "$port" --pool_port $((port + 1)) --pools localhost:50000 \
  --num_workers 2 --start_seconds 180 >"$folder/service.log" 2>&1 &
service=$!
"$python" - "$port" 50000 <<'END'
import socket, sys, time
for port in sys.argv[1:]:
    end = time.time() + 120
    while True:
        try:
            socket.create_connection(("localhost", int(port)), 2).close()
            break
        except OSError:
            if time.time() > end:
                sys.exit(f"error: nothing listens on port {port}; see the logs in the folder")
            time.sleep(0.5)
END
"$python" -m pipeline.run --runner=PortableRunner --job_endpoint=localhost:"$port" --environment_type=EXTERNAL \
  --environment_config=localhost:$((port + 1)) --output "$out"
mv "$out" "$folder/on-workers"
"$python" -m pipeline.run --direct_num_workers=1 --output "$out"   # the same path: the inputs of the sample lie there
for name in clean dropped stats shards validation tokenizer.model; do
  diff -r "$out/$name" "$folder/on-workers/$name" || { echo "error: $name differs" >&2; exit 1; }
done
echo "equal: $(cd "$out" && find clean dropped stats shards validation tokenizer.model -type f | wc -l) files of workers in the image and of a local run"
