/** Names that no hookpoint can have. Pure, and free of zod: a plugin's process reads it too. */

/** Names that a plugin's hooks object uses for its own life cycle, and names that promises use. */
export const RESERVED_HOOK_NAMES: ReadonlySet<string> = new Set([
  'onShutdown',
  'destroy',
  'then',
  'constructor',
  'toJSON',
])
