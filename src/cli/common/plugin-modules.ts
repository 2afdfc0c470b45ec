/**
 * Imports modules that are known at run time: plugins, and contracts of the user's own. In whichever process and thread is
 * to run their code.
 */
import { HookringError } from '../../index.js'

/** @throws HookringError PLUGIN_IMPORT_FAILED */
export async function importPlugin(url: string): Promise<Record<string, unknown>> {
  try {
    return (await import(url)) as Record<string, unknown>
  } catch (error) {
    if (error instanceof HookringError) throw error
    const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
    throw new HookringError('PLUGIN_IMPORT_FAILED', `${url} could not be imported: ${message}`, { cause: error })
  }
}
