/*
 * The parts of a release that only change texts: the changelog, the manifests and the lock file. Pure functions, called by
 * `tools/release.mjs`.
 *
 * Invariant: every package of the workspace has one version, and depends on exactly that version of the others.
 */

const pattern = /^(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?$/

/** Whether a text is a version that can be released: `1.2.3`, or `1.2.3-rc.1`. */
export const isVersion = (text) => pattern.test(text)

/** Whether a version comes after another one. A pre-release comes before its release. */
export function isAfter(version, other) {
  const [a, b] = [pattern.exec(version), pattern.exec(other)]
  for (const part of [1, 2, 3]) if (a[part] !== b[part]) return Number(a[part]) > Number(b[part])
  if (a[4] === undefined || b[4] === undefined) return a[4] === undefined && b[4] !== undefined
  const [as, bs] = [a[4].split('.'), b[4].split('.')]
  for (let i = 0; i < Math.max(as.length, bs.length); i++) {
    if (as[i] === bs[i]) continue
    if (as[i] === undefined || bs[i] === undefined) return bs[i] === undefined
    const areNumbers = /^\d+$/.test(as[i]) && /^\d+$/.test(bs[i])
    return areNumbers ? Number(as[i]) > Number(bs[i]) : as[i] > bs[i]
  }
  return false
}

const UNRELEASED = '## Unreleased\n'

/** Text of the changelog below `## Unreleased`, without blank lines around it; '' when there is none. */
export function unreleased(changelog) {
  const [, rest = ''] = changelog.split(UNRELEASED)
  return rest.split(/^## /m)[0].trim()
}

/** Changelog in which the unreleased changes are those of a version. `date` is `YYYY-MM-DD`. */
export function releasedChangelog(changelog, version, date) {
  return changelog.replace(UNRELEASED, `${UNRELEASED}\n## ${version}, ${date}\n`)
}

const isOurs = (name) => name === 'recado' || name.startsWith('@recado/')
const dependencies = ['dependencies', 'devDependencies', 'peerDependencies', 'optionalDependencies']

/** Manifest, or entry of the lock file, with this version and exactly this version of our other packages. */
export function withVersion(entry, version) {
  const result = { ...entry, ...(entry.version !== undefined && { version }) }
  for (const kind of dependencies) {
    if (entry[kind] === undefined) continue
    result[kind] = Object.fromEntries(
      Object.entries(entry[kind]).map(([name, range]) => [name, isOurs(name) && range !== '*' ? version : range]),
    )
  }
  return result
}

/** Lock file with this version of the workspace and its packages. */
export function lockWithVersion(lock, version) {
  const packages = Object.fromEntries(
    Object.entries(lock.packages).map(([path, entry]) => [
      path,
      path === '' || path.startsWith('packages/') ? withVersion(entry, version) : entry,
    ]),
  )
  return { ...lock, version, packages }
}
