/**
 * A cgroup of its own for a child, where this process may make one: memory and tasks of every kind, counted by the kernel.
 * Version 2 (memory.max, pids.max) and version 1 (memory.limit_in_bytes, pids.max). Where none can be made, nothing is said:
 * the other limits hold as they do. The lane's thread only.
 */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { threadId } from 'node:worker_threads'

export interface CgroupBounds {
  readonly memoryBytes: number
  readonly maxTasks: number
}

/** A directory in which cgroups can be made, and the controllers that count there. */
interface Place {
  readonly folder: string
  readonly version: 1 | 2
  readonly controllers: readonly Controller[]
}
type Controller = 'memory' | 'pids'

const PREFIX = `hookring-${process.pid}-`
let made = 0

export class Cgroup {
  /** One, or in version 1 one for each controller. */
  readonly #folders: readonly string[]

  /** Null: there is no place for one that counts both memory and tasks. */
  static create(bounds: CgroupBounds): Cgroup | null {
    if (process.platform !== 'linux') return null
    const folders: string[] = []
    made += 1
    try {
      for (const place of placesHere()) {
        sweep(place.folder)
        const folder = join(place.folder, `${PREFIX}${threadId}-${made}`)
        mkdirSync(folder)
        folders.push(folder)
        limit(folder, place, bounds)
      }
    } catch {
      for (const folder of folders) remove(folder)
      return null
    }
    return folders.length === 0 ? null : new Cgroup(folders)
  }

  private constructor(folders: readonly string[]) {
    this.#folders = folders
  }

  /** The command, run by a shell that enters the cgroup first, so that nothing is started outside of it. */
  entered(command: readonly string[]): string[] {
    const files = this.#folders.map((folder) => join(folder, 'cgroup.procs'))
    const first = files[0] as string
    const script = '{ echo 0 > "$0" && echo 0 > "$1"; } 2> /dev/null; shift; exec "$@"'
    return ['/bin/sh', '-c', script, first, files[1] ?? first, ...command]
  }

  /** The kernel has ended a process in it for want of memory. */
  wasOutOfMemory(): boolean {
    return this.#folders.some((folder) =>
      ['memory.events', 'memory.oom_control'].some((file) => /^oom_kill [1-9]/m.test(textOf(join(folder, file)))),
    )
  }

  /** Once its processes are gone. */
  remove(): void {
    for (const folder of this.#folders) remove(folder)
  }
}

function limit(folder: string, { version, controllers }: Place, { memoryBytes, maxTasks }: CgroupBounds): void {
  if (controllers.includes('pids')) writeFileSync(join(folder, 'pids.max'), String(maxTasks))
  if (!controllers.includes('memory')) return
  writeFileSync(join(folder, version === 2 ? 'memory.max' : 'memory.limit_in_bytes'), String(memoryBytes))
  try {
    if (version === 2) writeFileSync(join(folder, 'memory.swap.max'), '0')
    else writeFileSync(join(folder, 'memory.memsw.limit_in_bytes'), String(memoryBytes))
  } catch {
    // A kernel that does not count swap.
  }
}

/** Those of earlier children whose lane was ended before it could remove them. Ones in use stay: the kernel refuses. */
function sweep(folder: string): void {
  for (const name of readdirSync(folder)) if (name.startsWith(PREFIX)) remove(join(folder, name))
}

function remove(folder: string): void {
  try {
    rmdirSync(folder)
  } catch {
    // It is in use, or gone.
  }
}

/** Where cgroups can be made that count memory and tasks: one place in version 2, two in version 1, or none. */
function placesHere(): Place[] {
  const own = textOf('/proc/self/cgroup').trim().split('\n')
  const mounts = textOf('/proc/self/mountinfo').trim().split('\n')
  const unified = ownFolder(own, mounts, null)
  if (unified !== null) {
    // Beside its own only where that was delegated to it: root could write there in any case.
    const isDelegated = process.getuid?.() !== 0
    const folder = [unified, ...(isDelegated ? [dirname(unified)] : [])].find((candidate) => countsBoth(candidate))
    if (folder !== undefined) return [{ folder, version: 2, controllers: ['memory', 'pids'] }]
  }
  const places = (['memory', 'pids'] as const).map((controller) => ({
    folder: ownFolder(own, mounts, controller),
    version: 1 as const,
    controllers: [controller],
  }))
  return places.every((place): place is Place & (typeof places)[number] => place.folder !== null) ? places : []
}

/** Children of it are counted: of memory and tasks both. */
function countsBoth(folder: string): boolean {
  const controllers = textOf(join(folder, 'cgroup.subtree_control')).trim().split(' ')
  return controllers.includes('memory') && controllers.includes('pids')
}

/** This process's cgroup, as a folder; null where that controller has none here. A null controller is version 2. */
function ownFolder(own: readonly string[], mounts: readonly string[], controller: Controller | null): string | null {
  const mine = own.map((line) => line.split(':')).find(([, names]) => isOf(names as string, controller))
  const mount = mounts.find((line) => {
    const [type, , options] = (line.split(' - ')[1] ?? '').split(' ')
    return controller === null ? type === 'cgroup2' : type === 'cgroup' && isOf(options as string, controller)
  })
  if (mine === undefined || mount === undefined) return null
  const [, , , root, point] = mount.split(' ')
  const path = mine.slice(2).join(':')
  return join(point as string, path.startsWith(root as string) ? path.slice((root as string).length) : path)
}

function isOf(names: string, controller: Controller | null): boolean {
  return controller === null ? names === '' : names.split(',').includes(controller)
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
