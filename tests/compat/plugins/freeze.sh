#!/bin/sh
# Freezes the conformance plugin for a version of the plugin API, once, when it is released:
#   tests/compat/plugins/freeze.sh 1.0
# Small and without this machine's folders; never run again for a version that is there already.
set -eu
api=$1
root=$(cd "$(dirname "$0")/../../.." && pwd)
target=$(rustc -vV | sed -n 's/^host: //p')
folder=$root/tests/compat/plugins/$api/$target
[ ! -e "$folder" ] || { echo "$folder is frozen already"; exit 1; }
cd "$root"
flags="--remap-path-prefix=$root=/gateway --remap-path-prefix=$(rustc --print sysroot)=/rust"
for crates in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
    flags="$flags --remap-path-prefix=$crates=/crates"
done
RUSTFLAGS=$flags \
CARGO_PROFILE_RELEASE_OPT_LEVEL=z CARGO_PROFILE_RELEASE_LTO=fat \
CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1 CARGO_PROFILE_RELEASE_STRIP=symbols \
    cargo rustc --config 'profile.release.package.abi_stable.opt-level="z"' \
    --offline --locked --release -p gateway-conformance-plugin --target-dir target/frozen \
    --lib --crate-type cdylib -- -C link-arg=-Wl,--icf=all
mkdir -p "$folder"
cp target/frozen/release/libgateway_conformance_plugin.so "$folder/conformance.so"
chmod 644 "$folder/conformance.so"
(cd "$folder" && sha256sum conformance.so > SHA256 && rustc -vV > BUILT-WITH)
ls -l "$folder"
