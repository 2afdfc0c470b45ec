/** The system's tools that processes are confined with: where they stand. Any thread. */
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** @param searchPath folders, as in PATH. Null: none of them has it. */
export function findTool(tool: string, searchPath: string): string | null {
  for (const folder of searchPath.split(delimiter)) {
    if (folder === '') continue
    const path = join(folder, tool)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // Not there.
    }
  }
  return null
}
