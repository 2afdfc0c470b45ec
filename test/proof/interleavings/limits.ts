/** Times that scenarios and the engine of a stage agree on. */
export const PLUGIN_TIMEOUT_MS = 100
export const HANG_MS = 100
