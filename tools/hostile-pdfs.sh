#!/usr/bin/env bash
# Hands hostile PDFs to the real program: those of qpdf's tests (source package of Debian) and of pypdf's (PyPI), and bombs made
# by the test itself. Prints how each was answered, the slowest of each, and the memory of the program.
#
# tools/hostile-pdfs.sh [FOLDER]: the collections are kept there, outside of this tree (~/.cache/sagabus/hostile-pdfs).
# Fails where a file has no answer in 20 s a reading, or leaves a child, a file, or more memory than the program may have.
set -euo pipefail
cd "$(dirname "$0")/.."
place=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/sagabus/hostile-pdfs}
pypdf=7.1.0
pdfs=$place/pdfs
mkdir -p "$place"

# A list of sources of its own: nothing of the system is changed.
fetch_qpdf() {
    local apt=$place/apt
    rm -rf "$apt/sources"
    mkdir -p "$apt/sources" "$apt/lists/partial" "$apt/cache/archives/partial"
    # Of Debian's own sources alone: others have no sources of programs.
    grep -rhs --include='*.list' '^deb .*debian\.org/debian' /etc/apt | sed 's/^deb /deb-src /' >"$apt/sources/all.list" || true
    local file
    for file in $(grep -rls --include='*.sources' 'debian\.org/debian' /etc/apt); do
        sed 's/^Types:.*/Types: deb-src/' "$file" >>"$apt/sources/all.sources"
        echo >>"$apt/sources/all.sources"
    done
    local options=(-qq -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$apt/sources"
        -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root)
    apt-get "${options[@]}" update
    (cd "$place" && apt-get "${options[@]}" source --download-only qpdf)
}

if ! ls "$place"/qpdf_*.orig.tar.* >/dev/null 2>&1; then
    fetch_qpdf
fi
if [ ! -f "$place/pypdf-$pypdf.tar.gz" ]; then
    python3 -m pip download --quiet --no-deps --no-binary :all: --dest "$place" "pypdf==$pypdf"
fi
if [ ! -d "$pdfs" ]; then
    mkdir -p "$pdfs.new"
    for archive in "$place"/qpdf_*.orig.tar.* "$place/pypdf-$pypdf.tar.gz"; do
        case $archive in *.asc) continue ;; esac
        tar --list --file "$archive" | grep -E '\.pdf$|/qpdf_extra/.*\.fuzz$' |
            tar --extract --file "$archive" --directory "$pdfs.new" --files-from=-
    done
    mv "$pdfs.new" "$pdfs"
fi
ls "$place"/qpdf_*.orig.tar.* "$place/pypdf-$pypdf.tar.gz"
HOSTILE_PDFS=$pdfs cargo nextest run --workspace --all-features --no-capture \
    -E 'test(each_hostile_file_is_answered_in_time)'
