/** The shared libraries that a program needs to start. Any thread. */
import { execFile, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

/** Where the dynamic linker of glibc stands. */
const LINKERS = ['/lib64/ld-linux-x86-64.so.2', '/lib/ld-linux-aarch64.so.1']

const TIMEOUT_MS = 5_000
/** Where a loader does not name them (a static binary, another C library): the folders that it looks in. */
const FOLDERS = ['/lib', '/lib64', '/usr/lib']

/** As the dynamic loader names them; where it does not, the folders that it looks in. */
export function librariesOf(binary: string): string[] {
  const linker = LINKERS.find((path) => existsSync(path))
  if (linker === undefined) return FOLDERS
  return namedIn(spawnSync(linker, ['--list', binary], { encoding: 'utf8', timeout: TIMEOUT_MS }).stdout ?? '')
}

const known = new Map<string, Promise<string[]>>()

/** The same without waiting in the thread, and asked once for each binary. */
export function librariesInUse(binary: string): Promise<string[]> {
  const linker = LINKERS.find((path) => existsSync(path))
  if (linker === undefined) return Promise.resolve(FOLDERS)
  let found = known.get(binary)
  if (found === undefined) {
    found = new Promise((resolve) => {
      execFile(linker, ['--list', binary], { timeout: TIMEOUT_MS }, (_, stdout) => resolve(namedIn(stdout)))
    })
    known.set(binary, found)
  }
  return found
}

function namedIn(listed: string): string[] {
  const found = [...listed.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map((match) => match[1] as string)
  return found.length > 0 ? found : FOLDERS
}
