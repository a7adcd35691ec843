/**
 * `recado doctor`: examines an MQTT server, and the way to it.
 *
 * Called by `main.ts`; the checks are in the folder `doctor`. The invariant: it ends, for each check has a time; it leaves nothing on the server but what a
 * server that breaks off in the middle keeps.
 */
import type { ConnectionOptions } from 'node:tls'
import { type Command, helpRow, isGiven, type ParsedCommand, ToolError, valueIn } from '../command-table.ts'
import { checkConformance } from '../doctor/conformance.ts'
import { checkFeatures, checkLogins, checkVersions, type Limits } from '../doctor/features.ts'
import { type Finding, Findings, findingText } from '../doctor/findings.ts'
import { checkClock, checkNetwork, checkTls, type TlsVerdict } from '../doctor/network.ts'
import { addressOf, type Target } from '../doctor/target.ts'
import type { Io } from '../io.ts'
import { atof } from './option-spec.ts'
import { runTool } from './store-folder.ts'
import { caRow, fileOf, insecureRow, loginOf, topicOf } from './target-options.ts'
import { hasColour } from './terminal.ts'

export const command: Command = {
  name: 'doctor',
  summary:
    'examines an MQTT server: the way to it, TLS, what it supports, its limits, and where it breaks the specification.',
  usage: ['[options] URL'],
  introduction: `  {program} mqtt://localhost
  {program} mqtts://user@broker.example --cafile ca.pem
  {program} wss://broker.example/mqtt --json`,
  operands: [
    { name: 'URL', help: 'mqtt://, mqtts://, ws://, wss:// or mqtt+unix:/path; with [user[:password]@]host[:port]' },
  ],
  groups: [
    {
      options: [
        { names: ['-u', '--username'], value: 'NAME', help: 'user name' },
        {
          names: ['-P', '--pw'],
          value: 'PASSWORD',
          help: 'password; RECADO_PASSWORD is safer: others can read command lines',
        },
        caRow,
        { names: ['--cert'], value: 'FILE', help: 'certificate of this client (PEM)', completes: 'file' },
        { names: ['--key'], value: 'FILE', help: 'private key of the certificate (PEM)', completes: 'file' },
        insecureRow,
        { names: ['--topic'], value: 'TOPIC', help: 'messages go to topics below this one (default: recado/doctor)' },
        { names: ['--timeout'], value: 'SECONDS', help: 'time for one check (default: 5)' },
        { names: ['--skip-specification'], help: 'send no malformed packets: for a server whose log triggers alarms' },
        { names: ['--strict'], help: 'warnings are exit code 1 too' },
        {
          names: ['--json'],
          help: 'one JSON document: {"server", "limits": {...}, "findings": [{"group", "state", "text", ...}]}',
        },
        helpRow,
      ],
    },
  ],
  notes: `It connects some dozens of times, publishes below its topic and deletes what it has retained; packets that a server must refuse are sent too.
User name and password are sent to no server whose certificate is not trusted, but with --insecure.
States: ok; note, good to know; WARNING, works, but causes trouble; FAULT, broken or against the specification, whose statement is named.

Exit code: 0; 1 when there is a fault; 2 when the server could not be examined at all.`,
}

const UNREACHABLE = 2

export function runDoctor(argv: readonly string[], io: Io): Promise<number> {
  return runTool(command, argv, io, async (parsed) => {
    const target = targetFrom(parsed)
    const isJson = isGiven(parsed, '--json')
    const isColoured = hasColour(io.stdout, process.env)
    let group = ''
    const print = (finding: Finding): void => {
      if (isJson) return
      if (finding.group !== group) io.stdout.write(`${group === '' ? '' : '\n'}${finding.group}\n`)
      group = finding.group
      io.stdout.write(findingText(finding, isColoured))
    }
    const findings = new Findings(print)
    const { limits, isReached } = await examine(target, findings, {
      isInsecure: isGiven(parsed, '--insecure'),
      skipsSpecification: isGiven(parsed, '--skip-specification'),
    })
    const counts = { faults: findings.count('fault'), warnings: findings.count('warning') }
    if (isJson)
      io.stdout.write(`${JSON.stringify({ server: target.href, ...counts, limits, findings: findings.all })}\n`)
    else io.stdout.write(`\n${target.href}: ${counts.faults} faults, ${counts.warnings} warnings\n`)
    if (!isReached) return UNREACHABLE
    return counts.faults > 0 || (isGiven(parsed, '--strict') && counts.warnings > 0) ? 1 : 0
  })
}

async function examine(
  given: Target,
  findings: Findings,
  { isInsecure, skipsSpecification }: { isInsecure: boolean; skipsSpecification: boolean },
): Promise<{ limits: Limits | null; isReached: boolean }> {
  checkClock(findings)
  const failed = { limits: null, isReached: false }
  if (!(await checkNetwork(given, findings))) return failed
  const verdict = given.isTls ? await checkTls(given, findings) : 'trusted'
  if (verdict === 'none') return failed
  const target = isInsecure ? given : withSafeLogin(given, verdict, findings)
  const versions = await checkVersions(target, findings)
  const [best] = versions
  if (best === undefined) return failed
  await checkLogins(target, findings, best)
  const limits = await checkFeatures(target, findings, best)
  if (!skipsSpecification) await checkConformance(target, findings, versions)
  return { limits, isReached: true }
}

/** Keeps the login from a server that may be another one: with a trusted one later connections insist on that. */
function withSafeLogin(target: Target, verdict: TlsVerdict, findings: Findings): Target {
  if (verdict === 'trusted') return { ...target, isCertificateChecked: true }
  if (target.username === undefined && target.password === undefined) return target
  findings.add('tls', 'fault', 'user name and password are not sent: the server may be another one', {
    remedy: 'give the certificate of its authority with --cafile; --insecure sends them to whoever is there',
  })
  return { ...target, username: undefined, password: undefined }
}

/** @throws ToolError */
function targetFrom(parsed: ParsedCommand): Target {
  const address = addressOf(parsed.operands[0]!)
  const topic = topicOf(parsed, 'recado/doctor')
  const word = valueIn(parsed, '--timeout') ?? '5'
  const seconds = /^\d+(?:\.\d+)?$/.test(word) ? atof(word) : 0
  if (seconds <= 0 || seconds > 300) throw new ToolError(`--timeout needs seconds, at most 300, not "${word}"`)
  const [cert, key] = [fileOf(parsed, '--cert'), fileOf(parsed, '--key')]
  if ((cert === undefined) !== (key === undefined)) throw new ToolError('--cert needs --key: give both, or neither')
  const ca = fileOf(parsed, '--cafile')
  const tls: ConnectionOptions = {
    ...(ca === undefined ? {} : { ca: [ca] }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
  }
  const login = loginOf(parsed, address)
  return { ...address, ...login, topic, tls, isCertificateChecked: false, timeoutMs: seconds * 1_000 }
}
