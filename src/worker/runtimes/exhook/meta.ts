/** What a provider is told of the broker: hookring, and where it runs. The lane's thread. */
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import type { ExhookVersion } from '../../../contracts/exhook/rpcs.js'
import type { ProviderConfig } from '../../../contracts/remote-provider.js'
import type { WireMessage } from './wire.js'

/** Of which broker requests come. */
export interface RequestMeta {
  readonly node: string
  readonly version: string
  readonly sysdescr: string
  readonly clusterName: string
}

const MANIFEST = new URL('../../../../package.json', import.meta.url)

export function metaOf({ node, cluster }: ProviderConfig): RequestMeta {
  const { version } = JSON.parse(readFileSync(MANIFEST, 'utf8')) as { version: string }
  return { node: node ?? `hookring@${hostname()}`, version, sysdescr: 'hookring', clusterName: cluster ?? 'hookring' }
}

export function brokerOf(version: ExhookVersion, meta: RequestMeta): WireMessage {
  const uptimeMs = Math.round(process.uptime() * 1000)
  return {
    version: meta.version,
    sysdescr: meta.sysdescr,
    uptime: version === 1 ? `${Math.round(uptimeMs / 1000)} seconds` : String(uptimeMs),
    datetime: new Date().toISOString(),
  }
}
