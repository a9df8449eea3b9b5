#!/bin/sh
# Finds or sets up compiler, standard library and linker for one target, and says what it does.
#
#   cross/arm-toolchain.sh TRIPLE           messages on standard error, the result on standard output
#   cross/arm-toolchain.sh --code TRIPLE    only what rustc is told about the code; sets nothing up
#
# The result is lines `NAME=value` for the environment of cargo, and perhaps one line `FLAGS=...`, more words for
# `cargo build`. Exit status 0 only if everything is there.
#
# The standard library, by the first of these ways that works; TIDEGATE_STD_ROUTE=installed|rustup|source takes one:
#   installed  the active toolchain has the target
#   rustup     `rustup target add`, for at most TIDEGATE_RUSTUP_WAIT_S seconds (60)
#   source     built along from the toolchain's own source (rust-src), in two minutes
# The linker: Debian's cross compilers for what they fit; zig for the others, from PATH or from a Python environment
# under target/, its version pinned below. Debian's armhf is ARMv7 code, start files and libgcc too: linked with it, a
# program for ARMv6 stops at its first instruction there. zig brings sources and compiles them for the processor.
set -eu

only_code=
if [ "${1:-}" = --code ]; then only_code=1; shift; fi
target=${1:?"usage: cross/arm-toolchain.sh [--code] TRIPLE"}
if [ -n "$only_code" ]; then
    case $target in
    # Thumb-2, as Debian's own armhf: a quarter less code. rustc warns that it may call this otherwise one day; nothing else
    # is silenced that `cargo clippy` does not say.
    armv7-*) echo "-Ctarget-feature=+thumb-mode -Awarnings" ;;
    # zig's start files and C library, not those that rustup's target would bring.
    arm-*-musleabihf) echo "-Clink-self-contained=no" ;;
    esac
    exit
fi
route=${TIDEGATE_STD_ROUTE:-auto}
here=$(cd "$(dirname "$0")/.." && pwd)
cache=${CARGO_TARGET_DIR:-$here/target}/cross-toolchain
zig_version=0.13.0.post1

say() { echo "arm-toolchain: $*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }
wants() { [ "$route" = auto ] || [ "$route" = "$1" ]; }
upper() { echo "$1" | tr 'a-z-' 'A-Z_'; }

# Whether the active toolchain has core for the target.
installed() {
    dir=$(rustc --print target-libdir --target "$target" 2>/dev/null) || return 1
    set -- "$dir"/libcore-*.rlib
    [ -e "$1" ]
}

# The source that lets cargo build the standard library along.
has_source() { [ -e "$(rustc --print sysroot)/lib/rustlib/src/rust/library/Cargo.lock" ]; }

standard_library() {
    if wants installed && installed; then
        say "$target is in the active toolchain"
        return
    fi
    if wants rustup && have rustup; then
        wait_s=${TIDEGATE_RUSTUP_WAIT_S:-60}
        say "trying rustup target add $target, at most $wait_s s"
        if timeout "$wait_s" rustup target add "$target" >"$cache/rustup.log" 2>&1 && installed; then
            say "rustup has added it"
            return
        fi
        say "rustup could not add it"
    fi
    if wants source; then
        if ! has_source && have rustup; then timeout 120 rustup component add rust-src >&2 || true; fi
        if has_source; then
            say "the standard library is built along, from the toolchain's source"
            echo "RUSTC_BOOTSTRAP=1"
            # Small, and without its reader of debug information, which programs that are stripped have no use for.
            echo "FLAGS=-Zbuild-std=std,panic_abort -Zbuild-std-features=panic-unwind,optimize_for_size"
            return
        fi
    fi
    say "no standard library for $target; with rustup: rustup target add $target, or rustup component add rust-src"
    exit 1
}

# gcc of that name, for everything.
with_gcc() {
    if ! have "$1-gcc"; then
        say "there is no $1-gcc here (on Debian: apt-get install $2)"
        exit 1
    fi
    echo "CARGO_TARGET_$(upper "$target")_LINKER=$1-gcc"
    echo "CC_$(echo "$target" | tr - _)=$1-gcc"
    echo "AR_$(echo "$target" | tr - _)=$1-ar"
}

find_zig() {
    if have zig; then zig=zig; return; fi
    zig="$cache/zig/bin/python -m ziglang"
    if $zig version >/dev/null 2>&1; then return; fi
    say "putting zig $zig_version into $cache/zig"
    if ! python3 -m venv "$cache/zig" || ! "$cache/zig/bin/pip" install -q "ziglang==$zig_version" >&2; then
        say "that failed; install zig ${zig_version%.post*} by hand, so that \`zig version\` works"
        exit 1
    fi
}

# $1: zig's name for the target; $2: the processor. Two small programs stand for compiler and archiver.
with_zig() {
    find_zig
    cc=$cache/$target-cc
    cat >"$cc.new" <<EOF
#!/bin/sh
# What rustc and the cc crate say about target and processor is said below; zig has no libgcc.
for arg; do
    shift
    case \$arg in
    --target=* | -march=* | -mcpu=* | -mfpu=* | -mfloat-abi=* | -lgcc) ;;
    -lgcc_s | -lgcc_eh) set -- "\$@" -lunwind ;;
    *) set -- "\$@" "\$arg" ;;
    esac
done
exec $zig cc -target $1 -mcpu=$2 "\$@"
EOF
    printf '#!/bin/sh\nexec %s ar "$@"\n' "$zig" >"$cache/$target-ar.new"
    chmod +x "$cc.new" "$cache/$target-ar.new"
    mv "$cc.new" "$cc"
    mv "$cache/$target-ar.new" "$cache/$target-ar"
    echo "CARGO_TARGET_$(upper "$target")_LINKER=$cc"
    echo "CC_$(echo "$target" | tr - _)=$cc"
    echo "AR_$(echo "$target" | tr - _)=$cache/$target-ar"
}

if ! have rustc; then
    say "there is no rustc here: install Rust first"
    exit 1
fi
mkdir -p "$cache"
case $target in
aarch64-unknown-linux-gnu | aarch64-unknown-linux-musl)
    standard_library
    with_gcc aarch64-linux-gnu gcc-aarch64-linux-gnu
    ;;
armv7-unknown-linux-gnueabihf)
    standard_library
    with_gcc arm-linux-gnueabihf gcc-arm-linux-gnueabihf
    ;;
arm-unknown-linux-gnueabihf)
    standard_library
    # The C library of Raspberry Pi OS 11, the oldest that is still looked after.
    with_zig arm-linux-gnueabihf.2.31 arm1176jzf_s
    ;;
arm-unknown-linux-musleabihf)
    standard_library
    with_zig arm-linux-musleabihf arm1176jzf_s
    ;;
riscv64gc-unknown-linux-gnu)
    standard_library
    with_gcc riscv64-linux-gnu gcc-riscv64-linux-gnu
    ;;
x86_64-unknown-linux-gnu) ;;
*)
    say "no way is known to $target; there are aarch64-unknown-linux-gnu, aarch64-unknown-linux-musl,"
    say "armv7-unknown-linux-gnueabihf, arm-unknown-linux-gnueabihf, arm-unknown-linux-musleabihf and"
    say "riscv64gc-unknown-linux-gnu"
    exit 64
    ;;
esac
