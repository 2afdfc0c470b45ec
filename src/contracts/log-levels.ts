/** How much a log line matters. Pure, and free of zod: a plugin's process reads it too. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]
