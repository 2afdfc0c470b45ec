/** A module's file, looked at before it is read: one that its budget has no room for is not. */
import { statSync } from 'node:fs'
import { HookringError } from '../../../contracts/errors.js'
import type { PluginPlace } from '../runtime.js'
import { mostFileBytes } from './budget.js'

/** @throws HookringError WASM_TOO_LARGE */
export function checkWasmFile({ plugin: { name, url, memoryMb }, code }: Pick<PluginPlace, 'plugin' | 'code'>): void {
  const bytes = code?.length ?? bytesOf(url)
  const most = mostFileBytes(memoryMb)
  if (bytes <= most) return
  throw new HookringError(
    'WASM_TOO_LARGE',
    `plugin ${name}: its file: ${bytes} bytes, and ${most} are the most with limits.memoryMb ${memoryMb}; raise it`,
  )
}

/** Whoever reads the file says what is wrong with it. */
function bytesOf(url: string): number {
  try {
    return statSync(new URL(url)).size
  } catch {
    return 0
  }
}
