/** A logger for tests that keeps its lines. */
export interface LoggedLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly message: string
  readonly fields: Record<string, unknown>
}

export function recordingLogger() {
  const lines: LoggedLine[] = []
  const line = (level: LoggedLine['level']) => (fields: object, message: string) => {
    lines.push({ level, message, fields: fields as Record<string, unknown> })
  }
  return { lines, debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') }
}
