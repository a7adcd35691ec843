/*
 * `npm run release -- VERSION --repository URL [--dry-run]`: prepares a release in this checkout, and publishes nothing.
 *
 * Checks that a release is possible, sets the version in every manifest and the lock file, dates the changelog, runs all
 * tests, and makes the tarballs in `packed/VERSION/`. Then it prints the commands that publish them, for a person to run.
 * With --dry-run it prints what it would change and changes nothing. docs/releasing.md describes the whole procedure.
 *
 * Invariant: when a check or a test fails, the files that it has changed are as they were.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { isAfter, isVersion, lockWithVersion, releasedChangelog, unreleased, withVersion } from './lib/release.mjs'
import { checkRepository, published, root, run, runTool, ToolError } from './lib/workspace.mjs'

const usage = `Usage: npm run release -- VERSION --repository URL [--dry-run]

  VERSION           such as 1.2.3 or 1.2.3-rc.1; later than the present one
  --repository URL  https address of the public repository, which the packages name
  --dry-run         check and print the changes, change nothing, run no tests
  --artifacts       with --dry-run: make what would be published, of the present version, in packed/dry-run
  --help            print this text`

const read = (path) => readFileSync(join(root, path), 'utf8')
const json = (value) => `${JSON.stringify(value, null, 2)}\n`

/** Output of git. @throws ToolError when it fails */
function git(...args) {
  const { status, stdout, stderr } = spawnSync('git', args, { cwd: root, encoding: 'utf8' })
  if (status !== 0) throw new ToolError(`git ${args.join(' ')}: ${stderr.trim()}`)
  return stdout.trim()
}

/** Reasons why this version cannot be released from this checkout. */
function obstacles(version, current) {
  const found = []
  if (!isAfter(version, current)) found.push(`${version} does not come after ${current}, the version in package.json.`)
  if (unreleased(read('CHANGELOG.md')) === '') found.push('CHANGELOG.md has nothing below "## Unreleased": add it.')
  if (git('status', '--porcelain') !== '') found.push('The checkout has changes: commit or remove them.')
  if (git('tag', '--list', `v${version}`) !== '') found.push(`The tag v${version} exists: choose another version.`)
  return found
}

/** Texts of the files that a release changes, by path. */
function changes(version) {
  const manifests = [
    'package.json',
    ...readdirSync(join(root, 'packages')).map((name) => `packages/${name}/package.json`),
  ]
  const texts = new Map(
    manifests
      .filter((path) => existsSync(join(root, path)))
      .map((path) => [path, json(withVersion(JSON.parse(read(path)), version))]),
  )
  texts.set('package-lock.json', json(lockWithVersion(JSON.parse(read('package-lock.json')), version)))
  const date = new Date().toISOString().slice(0, 10)
  texts.set('CHANGELOG.md', releasedChangelog(read('CHANGELOG.md'), version, date))
  return texts
}

const write = (texts) => {
  for (const [path, text] of texts) writeFileSync(join(root, path), text)
}

/** Lines that differ, as a person checks them. */
function differences(path, text) {
  const [before, after] = [read(path).split('\n'), text.split('\n')]
  const added = after.filter((line) => !before.includes(line)).map((line) => `  + ${line.trim()}`)
  return [...new Set([`${path}`, ...added])]
}

function nextSteps(version) {
  const files = published.map((name) => `${name === 'recado' ? name : `recado-${name}`}-${version}.tgz`)
  return [
    'Everything is ready. Look at "git diff", then publish:',
    '',
    `    git commit -am "release: publish version ${version}"`,
    `    git tag -a v${version} -m "Version ${version}"`,
    ...files.map((file) => `    npm publish packed/${version}/${file}`),
    '    git push --follow-tags',
  ].join('\n')
}

function main() {
  const options = {
    repository: { type: 'string' },
    'dry-run': { type: 'boolean' },
    help: { type: 'boolean' },
    artifacts: { type: 'boolean' },
  }
  let parsed
  try {
    parsed = parseArgs({ options, allowPositionals: true })
  } catch (error) {
    throw new ToolError(`${error.message}\n\n${usage}`, 2)
  }
  const { values, positionals } = parsed
  if (values.help) return console.log(usage)
  const [version, ...others] = positionals
  if (version === undefined || others.length > 0) throw new ToolError(usage, 2)
  if (!isVersion(version)) throw new ToolError(`"${version}" is no version: write 1.2.3 or 1.2.3-rc.1`, 2)
  checkRepository(values.repository)
  const current = JSON.parse(read('package.json')).version
  const found = obstacles(version, current)
  const texts = changes(version)
  if (values['dry-run']) {
    for (const [path, text] of texts) console.log(differences(path, text).join('\n'))
    console.log(`packed/${version}/: tarballs, Debian packages, bills of materials, metadata.json, SHA256SUMS`)
    if (values.artifacts) {
      run(process.execPath, ['tools/artifacts.mjs', '--out', 'packed/dry-run', '--repository', values.repository], {
        what: 'Making the artifacts',
      })
    }
    if (found.length > 0) throw new ToolError(`\nNot possible yet:\n${found.map((each) => `  ${each}`).join('\n')}`)
    return
  }
  if (found.length > 0) throw new ToolError(found.join('\n'))
  const before = new Map([...texts.keys()].map((path) => [path, read(path)]))
  try {
    write(texts)
    run(join(root, '.ci', 'run'), [], { what: 'The tests', env: { ...process.env, CI: 'true' } })
    run(process.execPath, ['tools/artifacts.mjs', '--out', `packed/${version}`, '--repository', values.repository], {
      what: 'Packing',
    })
  } catch (error) {
    write(before)
    throw error
  }
  console.log(nextSteps(version))
}

if (import.meta.filename === process.argv[1]) await runTool(main)
