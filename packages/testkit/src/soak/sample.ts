/**
 * Figures of the operating system for a broker's process and its data folder: memory, open files, CPU time, bytes on
 * disk.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

export interface ProcessSample {
  rssBytes: number
  /** Part of that which is the process's own and no page of a file. */
  anonymousBytes: number
  fds: number
  cpuMs: number
}

const TICKS_PER_SECOND = 100

/** Returns the sample of a process; `null` when it has ended. @throws where there is no /proc */
export function sampleProcess(pid: number): ProcessSample | null {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const kilobytes = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0)
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return {
      rssBytes: kilobytes('VmRSS') * 1024,
      anonymousBytes: kilobytes('RssAnon') * 1024,
      fds: readdirSync(`/proc/${pid}/fd`).length,
      cpuMs: ((Number(fields[11]) + Number(fields[12])) * 1_000) / TICKS_PER_SECOND,
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ESRCH') return null
    throw error
  }
}

/** Returns bytes on disk, holes not counted. */
export function folderBytes(folder: string): number {
  let bytes = 0
  for (const name of readdirSync(folder)) {
    const { blocks } = statSync(join(folder, name), { throwIfNoEntry: false }) ?? { blocks: 0 }
    bytes += blocks * 512
  }
  return bytes
}
