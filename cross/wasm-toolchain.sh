#!/bin/sh
# Finds or sets up a Rust compiler for wasm32-unknown-unknown, and says what it does.
#
#   cross/wasm-toolchain.sh            messages on standard error, the result on standard output
#
# The result is lines `NAME=value` for the environment of cargo: nothing when the active toolchain
# has the target, else `RUSTC=...`. Exit status 0 only if a compiler is there.
#
# Three routes, in this order; TIDEGATE_WASM_ROUTE=installed|rustup|debian takes only that one:
#   installed  the active toolchain has the target
#   rustup     `rustup target add`, for at most TIDEGATE_RUSTUP_WAIT_S seconds (60)
#   debian     Debian's own rustc and wasm32 library (release TIDEGATE_DEBIAN_SUITE, forky), unpacked
#              by mmdebstrap into TIDEGATE_TOOLCHAIN_DIR (target/wasm-toolchain) and run from there
#              through its own loader. Nothing is installed. It compiles for wasm32 only; build
#              scripts still go to the active toolchain. Takes half a minute and 600 MB once.
set -eu

target=wasm32-unknown-unknown
route=${TIDEGATE_WASM_ROUTE:-auto}
suite=${TIDEGATE_DEBIAN_SUITE:-forky}
here=$(cd "$(dirname "$0")/.." && pwd)
cache=${TIDEGATE_TOOLCHAIN_DIR:-$here/target/wasm-toolchain}
rustc=${RUSTC:-rustc}

say() { echo "wasm-toolchain: $*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }
wants() { [ "$route" = auto ] || [ "$route" = "$1" ]; }

case $route in
auto | installed | rustup | debian) ;;
*) say "TIDEGATE_WASM_ROUTE is '$route'; use installed, rustup or debian"; exit 64 ;;
esac

if ! have "$rustc"; then
    say "there is no $rustc here: install Rust first"
    exit 1
fi

# Whether the active toolchain has core for the target.
installed() {
    dir=$("$rustc" --print target-libdir --target $target 2>/dev/null) || return 1
    set -- "$dir"/libcore-*.rlib
    [ -e "$1" ]
}

if wants installed || wants rustup; then
    if installed; then
        say "$target is in the active toolchain ($("$rustc" -V))"
        exit 0
    fi
    say "$target is not in the active toolchain ($("$rustc" -V))"
fi

if wants rustup; then
    if have rustup; then
        wait_s=${TIDEGATE_RUSTUP_WAIT_S:-60}
        say "trying rustup target add $target, at most $wait_s s"
        if timeout "$wait_s" rustup target add $target >&2 && installed; then
            say "rustup has added it"
            exit 0
        fi
        say "rustup could not add it"
    else
        say "there is no rustup here"
    fi
fi

if ! wants debian; then
    say "nothing more to try with TIDEGATE_WASM_ROUTE=$route"
    exit 1
fi

# From here on: Debian's compiler in a folder of its own.
root=$cache/debian-$suite
wrapper=$root/rustc

if [ -x "$wrapper" ]; then
    say "using Debian's compiler from $root"
    echo "RUSTC=$wrapper"
    exit 0
fi

for tool in mmdebstrap apt-get dpkg; do
    if ! have $tool; then
        say "the Debian route needs $tool, which is not here (on Debian: apt-get install mmdebstrap)"
        say "or add the target by hand: rustup target add $target"
        exit 1
    fi
done

# The mirror that this machine's apt uses for Debian's main archive.
mirror=$(apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(SITE)' |
    awk '$1 == "Debian" && $2 == "main" && $3 !~ /security/ { print $3; exit }')
if [ -z "$mirror" ]; then
    say "apt knows no Debian mirror here (run apt-get update once); add the target by hand: rustup target add $target"
    exit 1
fi

# The linker comes from the active toolchain where it brings one.
arch=$(dpkg --print-architecture)
lld=$("$rustc" --print sysroot)/lib/rustlib/$("$rustc" -vV | sed -n 's/^host: //p')/bin/rust-lld
packages=rustc,libstd-rust-dev-wasm32
[ -x "$lld" ] || packages=$packages,lld

new=$root.new.$$
mkdir -p "$cache"
trap 'rm -rf "$new"' EXIT
trap 'exit 1' HUP INT TERM

# $@: more options for apt.
unpack() {
    rm -rf "$new"
    mmdebstrap --quiet --variant=extract --architectures="$arch" --include="$packages" "$@" \
        "$suite" "$new" "$mirror" >&2
}

say "unpacking $packages of Debian $suite into $root (half a minute, 600 MB)"
if ! unpack; then
    # Signatures still hold then; only the date of the signed list is not looked at. A mirror that
    # stands still, or a clock that runs ahead, needs this.
    say "that failed; trying once more without the archive's expiry date"
    if ! unpack --aptopt='Acquire::Check-Valid-Until "false"'; then
        say "Debian's packages could not be fetched; add the target by hand: rustup target add $target"
        exit 1
    fi
fi

# The C compiler that the package depends on is not needed for wasm.
rm -rf "$new/usr/share" "$new/usr/include" "$new/usr/lib/gcc" "$new/usr/libexec" "$new/var" "$new/dev" "$new/etc"
find "$new/usr/bin" -mindepth 1 ! -name rustc ! -name 'lld*' ! -name 'wasm-ld*' -delete
find "$new/usr/lib" -name '*.a' -delete
find "$new/usr/lib/rustlib" -mindepth 1 -maxdepth 1 ! -name $target -exec rm -rf {} +

loader=$(find "$new/usr/lib" "$new/usr/lib64" -maxdepth 2 -name 'ld-linux*.so.*' 2>/dev/null | head -n 1)
driver=$(find "$new/usr/lib" -name 'librustc_driver-*.so' | head -n 1)
if [ -z "$loader" ] || [ -z "$driver" ]; then
    say "the unpacked packages hold no compiler as expected; add the target by hand: rustup target add $target"
    exit 1
fi
libs=
for dir in "$new"/usr/lib/*-linux-gnu* "$new"/usr/lib/llvm-*/lib; do
    if [ -d "$dir" ]; then libs=$libs:$root${dir#"$new"}; fi
done
loader=$root${loader#"$new"}
run="'$loader' --library-path '${libs#:}'"

if [ ! -x "$lld" ]; then
    # Named so that rustc takes it for what it is.
    ld=$(find "$new/usr/lib" "$new/usr/bin" -name wasm-ld | head -n 1)
    printf '#!/bin/sh\nexec %s --argv0 wasm-ld %s "$@"\n' "$run" "'$root${ld#"$new"}'" >"$new/wasm-ld"
    chmod +x "$new/wasm-ld"
    lld=$root/wasm-ld
fi

# Cargo calls this for everything. Only wasm32 goes to Debian's compiler: what runs on this machine,
# such as a build script, must fit this machine's C library. The line that -vV gains keeps cargo
# from mixing what different compilers made.
host=$(command -v "$rustc")
cat >"$new/rustc" <<EOF
#!/bin/sh
for arg; do
    case \$arg in
    $target | --target=$target)
        exec $run '$root/usr/bin/rustc' "\$@" --sysroot '$root/usr' -C linker='$lld'
        ;;
    -vV)
        '$host' -vV
        echo "wasm32: \$($run '$root/usr/bin/rustc' -V)"
        exit
        ;;
    esac
done
exec '$host' "\$@"
EOF
chmod +x "$new/rustc"

# Somebody else may have been faster; then theirs is as good and may be in use.
if [ ! -x "$wrapper" ]; then
    rm -rf "$root"
    mv "$new" "$root"
fi
version=$("$wrapper" -vV | sed -n 's/^wasm32: //p')
if [ -z "$version" ]; then
    say "Debian's compiler does not run here; add the target by hand: rustup target add $target"
    rm -rf "$root"
    exit 1
fi
say "using Debian's compiler: $version"
echo "RUSTC=$wrapper"
