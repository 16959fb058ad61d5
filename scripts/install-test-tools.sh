#!/bin/sh
# Installs the real components that the tests run against, on Debian and its kin: what is missing, nothing else.
# Called by `npm test` and CI only. Safe to run again; needs root or sudo when something is missing.
set -eu

# program that shows the package is there : the package
tools='
dockerd:docker.io
docker:docker.io
busybox:busybox-static
mosquitto:mosquitto
etcd:etcd-server
etcdctl:etcd-client
openssl:openssl
python3:python3
iptables:iptables
ip:iproute2
setpriv:util-linux
'

PATH="$PATH:/usr/sbin:/sbin"
missing=''
for tool in $tools; do
  package=${tool#*:}
  command -v "${tool%%:*}" >/dev/null 2>&1 && continue
  case " $missing " in *" $package "*) ;; *) missing="$missing $package" ;; esac
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
  echo "The tests need:$missing. Install them: this is not a Debian system, so this script cannot." >&2
  exit 1
fi
as_root=''
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null 2>&1 || { echo "The tests need:$missing. Install them as root: apt-get install$missing" >&2; exit 1; }
  as_root='sudo'
fi

# Debian starts the services of what it installs; the tests start their own, on free ports.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
  $as_root chmod +x "$policy"
  trap '$as_root rm -f "$policy"' EXIT
fi

# The package lists may be absent or old, so they are fetched when the first try fails.
# shellcheck disable=SC2086
install() {
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}
install 2>/dev/null || { $as_root apt-get update -qq >/dev/null && install; }
