/** PEM files of servers, relative to the config file. Main thread. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { UsageError } from '../common/errors.js'

interface PemFiles {
  readonly cert: string
  readonly key: string
  readonly ca?: string | undefined
}

/** @param where the option, for the message. @throws UsageError CONFIG_INVALID */
export function pemsOf({ cert, key, ca }: PemFiles, folder: string, where: string) {
  const read = (file: string): Buffer => {
    try {
      return readFileSync(resolve(folder, file))
    } catch (error) {
      throw new UsageError('CONFIG_INVALID', `${where}: ${(error as Error).message}`)
    }
  }
  return { cert: read(cert), key: read(key), ...(ca !== undefined && { ca: read(ca) }) }
}
