/** The shared libraries that a program needs to start. Any thread. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

/** Where the dynamic linker of glibc stands. */
const LINKERS = ['/lib64/ld-linux-x86-64.so.2', '/lib/ld-linux-aarch64.so.1']

/** As the dynamic loader names them; where it does not (a static binary, another C library), the folders it looks in. */
export function librariesOf(binary: string): string[] {
  const linker = LINKERS.find((path) => existsSync(path))
  const traced =
    linker === undefined ? null : spawnSync(linker, ['--list', binary], { encoding: 'utf8', timeout: 5_000 })
  const found = [...(traced?.stdout ?? '').matchAll(/(?:=> )?(\/\S+) \(0x/g)].map((match) => match[1] as string)
  return found.length > 0 ? found : ['/lib', '/lib64', '/usr/lib']
}
