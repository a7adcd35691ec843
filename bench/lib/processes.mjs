/**
 * Brokers and generators as processes: started pinned to a CPU, waited for, bounded in time, and stopped by their own
 * pids.
 *
 * Called by run.mjs and growth.mjs. Invariant: a broker that `startBroker` started is dead when `stop` has resolved,
 * and `stopAll` (for signals) leaves nothing behind; nothing is ever killed by name.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

const START_MS = 15_000
const STOP_MS = 8_000
const running = new Set()

export class BenchError extends Error {}

export const has = (command) => spawnSync('sh', ['-c', `command -v ${command}`], { stdio: 'ignore' }).status === 0

/** Finds `command` on the PATH, or where Debian puts servers, which is not on every user's PATH. */
export function findProgram(command) {
  const found = spawnSync('sh', ['-c', `PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v ${command}`], {
    encoding: 'utf8',
  })
  return found.status === 0 ? found.stdout.trim() : null
}

const canPin = has('taskset')

function pinned(cpu, argv) {
  return canPin && cpu !== '' ? ['taskset', '-c', cpu, ...argv] : argv
}

const REAL_TIME = ['chrt', '--fifo', '10']

/**
 * Whether programs can get real-time priority here. Otherwise the 99th percentile of a latency is that of the scheduler
 * on a machine with other work: a thread that wakes up may wait for its neighbour's time slice, several milliseconds.
 */
export const canRealTime = () =>
  spawnSync(REAL_TIME[0], [...REAL_TIME.slice(1), 'true'], { stdio: 'ignore' }).status === 0

/** Command that runs `argv` with real-time priority. */
export const realTime = (argv) => [...REAL_TIME, ...argv]

/**
 * Gives real-time priority to the main thread alone: a broker's other threads, for hashes, compilation, garbage, give
 * way to it.
 */
function makeRealTime(pid) {
  const { status, stderr } = spawnSync('chrt', ['--fifo', '--reset-on-fork', '--pid', '10', String(pid)], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new BenchError(`no real-time priority: ${stderr.trim()}`)
}

/** Process ids of the process and its children, from the kernel at this moment. */
function tree(pid) {
  const pids = []
  const todo = [pid]
  while (todo.length > 0) {
    const next = todo.pop()
    pids.push(next)
    try {
      for (const task of readdirSync(`/proc/${next}/task`)) {
        const children = readFileSync(`/proc/${next}/task/${task}/children`, 'utf8')
        todo.push(...children.split(' ').filter(Boolean).map(Number))
      }
    } catch {
      // It has ended meanwhile, or there is no /proc: then it is alone.
    }
  }
  return pids
}

function signalTree(pid, signal) {
  for (const each of tree(pid)) {
    try {
      process.kill(each, signal)
    } catch (error) {
      if (error.code !== 'ESRCH') throw error
    }
  }
}

function whenExited(child) {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve()
    else child.once('exit', () => resolve())
  })
}

async function stopChild(child) {
  if (child.exitCode !== null || child.signalCode !== null) return
  signalTree(child.pid, 'SIGTERM')
  const killer = setTimeout(() => signalTree(child.pid, 'SIGKILL'), STOP_MS)
  await whenExited(child)
  clearTimeout(killer)
}

/** Stops everything at the end of this process, however it comes. */
export function stopAll() {
  for (const child of running) signalTree(child.pid, 'SIGKILL')
}

function canConnect(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.setTimeout(200, () => socket.destroy())
    socket.once('connect', () => {
      resolve(true)
      socket.destroy()
    })
    socket.once('error', () => resolve(false))
    socket.once('close', () => resolve(false))
  })
}

/**
 * Starts a broker in a folder of its own and waits until it accepts connections. `contestant` is { name, argv, files },
 * with {port} and {dir} in each replaced. `isRealTime`: its main thread comes before everything else on that CPU.
 */
export async function startBroker(contestant, port, cpu, isRealTime = false) {
  const dir = mkdtempSync(join(tmpdir(), 'recado-bench-'))
  const expand = (text) => text.replaceAll('{port}', String(port)).replaceAll('{dir}', dir)
  for (const [name, text] of Object.entries(contestant.files ?? {})) writeFileSync(join(dir, name), expand(text))
  // As many files as the system allows; exec, so that the pid is the broker's own.
  const shell = ['sh', '-c', 'ulimit -S -n "$(ulimit -H -n)"; exec "$@"', 'sh']
  const argv = pinned(cpu, [...shell, ...contestant.argv.map(expand)])
  const child = spawn(argv[0], argv.slice(1), { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] })
  running.add(child)
  let output = ''
  const keep = (chunk) => {
    output = (output + chunk).slice(-2_000)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  child.once('exit', () => running.delete(child))
  let failure = null
  child.once('error', (error) => {
    failure = error
    running.delete(child)
  })
  const stop = async () => {
    if (failure === null) await stopChild(child)
    rmSync(dir, { recursive: true, force: true })
  }
  const until = Date.now() + START_MS
  while (!(await canConnect(port))) {
    const hasExited = child.exitCode !== null || child.signalCode !== null
    if (failure !== null || hasExited || Date.now() > until) {
      await stop()
      const why = failure?.message ?? (hasExited ? `ended with ${child.exitCode ?? child.signalCode}` : 'no answer')
      throw new BenchError(
        `${contestant.name} did not start (${why}): ${output.trim().split('\n').slice(-3).join(' / ')}`,
      )
    }
    await wait(20)
  }
  await wait(200)
  if (isRealTime) makeRealTime(child.pid)
  return {
    pid: child.pid,
    dir,
    stop,
    /** Reason why it is not running any more; null while it is. */
    ended: () =>
      (child.exitCode ?? child.signalCode) === null
        ? null
        : `the broker ended with ${child.exitCode ?? child.signalCode}`,
  }
}

/** Runs a generator to its end and returns the JSON of its last line. `onStart` is called with its pid. */
export function runGenerator(argv, cpu, timeoutMs, onStart = () => {}) {
  const command = pinned(cpu, argv)
  return new Promise((resolve) => {
    const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] })
    running.add(child)
    onStart(child.pid)
    let out = ''
    let err = ''
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      signalTree(child.pid, 'SIGKILL')
    }, timeoutMs)
    child.stdout.on('data', (chunk) => {
      out += chunk
    })
    child.stderr.on('data', (chunk) => {
      err = (err + chunk).slice(-1_000)
    })
    child.once('error', (error) => {
      err = error.message
    })
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      running.delete(child)
      const line = out.trim().split('\n').at(-1) ?? ''
      try {
        resolve(JSON.parse(line))
      } catch {
        const why = isLate ? `not done after ${Math.round(timeoutMs / 1000)} s` : err.trim().split('\n').at(-1)
        resolve({ failed: why || `the generator ended with ${code ?? signal}` })
      }
    })
  })
}

const TICKS_PER_SECOND = 100

/** CPU microseconds that a process and its children have used, all threads; NaN where there is no /proc. */
export function cpuMicroseconds(pid) {
  let ticks = 0
  for (const each of tree(pid)) {
    try {
      const stat = readFileSync(`/proc/${each}/stat`, 'utf8')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      ticks += Number(fields[11]) + Number(fields[12])
    } catch {
      return Number.NaN
    }
  }
  return (ticks * 1e6) / TICKS_PER_SECOND
}

/** CPU microseconds that the whole machine has used, and the part that the hypervisor took. */
function machineMicroseconds() {
  const [user, nice, system, , , interrupt, softInterrupt, steal] = readFileSync('/proc/stat', 'utf8')
    .split('\n')[0]
    .split(/\s+/)
    .slice(1)
    .map(Number)
  return ((user + nice + system + interrupt + softInterrupt + steal) * 1e6) / TICKS_PER_SECOND
}

/**
 * Samples broker, generator and machine ten times a second, for generators that cannot measure the broker's CPU.
 * `between` returns the usage in a part of the time; without arguments that of the whole time.
 */
export function watchProcesses(brokerPid) {
  const samples = []
  let generatorPid = null
  const rssBefore = residentBytes(brokerPid)
  const look = () => {
    samples.push({
      atMs: Date.now(),
      broker: cpuMicroseconds(brokerPid),
      generator: generatorPid === null ? 0 : cpuMicroseconds(generatorPid),
      machine: machineMicroseconds(),
      rss: residentBytes(brokerPid),
    })
  }
  look()
  const timer = setInterval(look, 100)
  return {
    setGenerator: (pid) => {
      generatorPid = pid
    },
    stop: () => clearInterval(timer),
    between: (fromMs = 0, toMs = Number.POSITIVE_INFINITY) => {
      // The last sample of a generator that has ended is empty.
      const inside = samples.filter(({ atMs, generator }) => atMs >= fromMs && atMs <= toMs && !Number.isNaN(generator))
      const first = inside[0]
      const last = inside.at(-1)
      if (first === undefined || first === last) return null
      const used = (key) => last[key] - first[key]
      const elapsed = (last.atMs - first.atMs) * 1_000
      const percent = (microseconds) => (100 * microseconds) / elapsed
      return {
        seconds: elapsed / 1e6,
        brokerUs: used('broker'),
        rssBytes: Math.max(...inside.map(({ rss }) => rss)) - rssBefore,
        brokerCpu: percent(used('broker')),
        generatorCpu: percent(used('generator')),
        noise: Math.max(0, percent(used('machine') - used('broker') - used('generator'))),
      }
    },
  }
}

/** Resident bytes of a process and its children. */
export function residentBytes(pid) {
  let kilobytes = 0
  for (const each of tree(pid)) {
    try {
      kilobytes += Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${each}/status`, 'utf8'))?.[1] ?? 0)
    } catch {
      return Number.NaN
    }
  }
  return kilobytes * 1024
}
