/**
 * Copies of what ships with some of its text replaced: mutants, and builds whose limits are small enough for small
 * scenarios. A patch whose text is not found exactly once is an error, so the lists stay in step with the source.
 */
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

export interface Patch {
  /** Path within dist, for example `ring/host-ring.js`. */
  readonly file: string
  readonly find: string
  readonly replace: string
}

/** Patches that go together, and a name for the build with them. */
export interface Patches {
  readonly name: string
  readonly patches: readonly Patch[]
}

/** A mistake that somebody could make, as patches. */
export interface Mutant {
  readonly name: string
  readonly mistake: string
  readonly patches: readonly Patch[]
  /** Scenarios that were made for it. */
  readonly first: readonly string[]
}

/**
 * With these, a few calls reach what otherwise many would: parts of one call, slices of three, batches of two, no second
 * attempt to stop a chain where it was seen, and sequences that start where the scenario says.
 */
const SCALED: readonly Patch[] = [
  { file: 'host/calls/pump.js', find: 'const PUBLISH_EVERY = 32;', replace: 'const PUBLISH_EVERY = 1;' },
  { file: 'host/calls/pump.js', find: 'const DRAIN_SLICE = 128;', replace: 'const DRAIN_SLICE = 3;' },
  { file: 'worker/lane-loop.js', find: 'const BATCH_CALLS = 64;', replace: 'const BATCH_CALLS = 2;' },
  {
    file: 'host/calls/expiry.js',
    find: 'expire(call, nowMs, retries = 2) {',
    replace: 'expire(call, nowMs, retries = 0) {',
  },
  {
    file: 'host/model/lane.js',
    find: 'new HostRing(geometry, buffer)',
    replace: 'new HostRing(geometry, buffer, globalThis.hookringFirstSequence)',
  },
]

/** Time passes in leaps here, when a scenario says so. The process did not stand still. */
const LEAPS: readonly Patch[] = [
  { file: 'ring/standstill.js', find: 'const LATE_MS = 50;', replace: 'const LATE_MS = Infinity;' },
]

/** An arena for two small extents, which all events share. */
const SMALL_ARENA: readonly Patch[] = [
  { file: 'host/model/lane-bytes.js', find: 'const LARGEST_BLOCKS = 8;', replace: 'const LARGEST_BLOCKS = 1;' },
  {
    file: 'ring/extents.js',
    find: 'const SMALLEST_EXTENT_BYTES = 128;',
    replace: 'const SMALLEST_EXTENT_BYTES = 256;',
  },
  {
    file: 'host/model/lane-bytes.js',
    find: 'const OWN_EXTENT_BYTES = SMALLEST_EXTENT_BYTES;',
    replace: 'const OWN_EXTENT_BYTES = 0;',
  },
]

/** The sizes that a scenario asks for, and a name for them. All of them allow leaps of time. */
export function sizesFor(scenario: { isScaled?: boolean; hasSmallArena?: boolean }): Patches {
  const { isScaled = false, hasSmallArena = false } = scenario
  return {
    name: `${isScaled ? '-scaled' : ''}${hasSmallArena ? '-small-arena' : ''}`,
    patches: [...LEAPS, ...(isScaled ? SCALED : []), ...(hasSmallArena ? SMALL_ARENA : [])],
  }
}

/** All patches that are not mutants. */
export const SIZES: readonly Patch[] = [...LEAPS, ...SCALED, ...SMALL_ARENA]

/** The package's folder, for a program below its .cache/. */
export function packageFolder(): string {
  let folder = new URL('.', import.meta.url)
  while (!folder.pathname.endsWith('/.cache/')) {
    const parent = new URL('..', folder)
    if (parent.href === folder.href)
      throw new Error('this program runs from the .cache/ of the package: npm run interleavings')
    folder = parent
  }
  return fileURLToPath(new URL('..', folder))
}

export interface Copies {
  /**
   * Returns the file: URL of a copy with the patches applied; made once for each name.
   * @throws Error when a patch does not apply
   */
  make(name: string, patches: readonly Patch[]): Promise<string>
  /** Removes them all. */
  clear(): Promise<void>
}

/** The copies are inside the package, so that they find its dependencies. */
export async function createCopies(): Promise<Copies> {
  const root = packageFolder()
  const folder = join(root, '.cache', `interleavings-${process.pid}`)
  await mkdir(folder, { recursive: true })
  const original = join(folder, 'original')
  // Somebody may build meanwhile: all copies are made from one state.
  await cp(join(root, 'dist'), original, { recursive: true, filter: (path) => !/\.(map|d\.ts)$/.test(path) })

  async function make(name: string, patches: readonly Patch[]): Promise<string> {
    const copy = join(folder, name)
    await cp(original, copy, { recursive: true })
    for (const { file, find, replace } of patches) {
      const path = join(copy, file)
      const parts = (await readFile(path, 'utf8')).split(find)
      if (parts.length !== 2) {
        throw new Error(
          `${name}: in dist/${file} its text occurs ${parts.length - 1} times, it must be once; adapt the patch:\n${find}`,
        )
      }
      await writeFile(path, parts.join(replace))
    }
    return pathToFileURL(`${copy}/`).href
  }

  // Two stages may ask for the same copy at once.
  const made = new Map<string, Promise<string>>()

  return {
    make(name, patches) {
      let copy = made.get(name)
      if (copy === undefined) {
        copy = patches.length === 0 ? Promise.resolve(pathToFileURL(`${original}/`).href) : make(name, patches)
        made.set(name, copy)
      }
      return copy
    },
    // Copies may still be in the making when a run ends early.
    clear: () => rm(folder, { recursive: true, force: true, maxRetries: 5 }),
  }
}
