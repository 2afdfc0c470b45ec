/** The names of runtimes and boundaries. Pure; used on both threads. */

/** How a plugin's code is executed inside a lane. */
export const RUNTIMES = ['module', 'compartment', 'quickjs', 'wasm', 'native', 'exhook'] as const
export type RuntimeName = (typeof RUNTIMES)[number]

/** `thread`: the lane itself. `process`: a child process behind the lane. */
export const BOUNDARIES = ['thread', 'process'] as const
export type Boundary = (typeof BOUNDARIES)[number]

/**
 * Runtimes that confine their plugin by themselves; the others need the process boundary around an untrusted one. A remote
 * provider (`exhook`) runs elsewhere: of it there are answers here, and no code.
 */
export const CONFINING_RUNTIMES: ReadonlySet<RuntimeName> = new Set<RuntimeName>(['quickjs', 'wasm', 'exhook'])
