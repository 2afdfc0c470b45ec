/**
 * The config of a remote provider that is mounted as a plugin (runtime `exhook`). The operator writes it, the lane that
 * holds the connection parses it.
 */
import { z } from 'zod/v4'

const text = z.string().min(1).max(256)
const file = z.string().min(1)

export const providerConfigSchema = z.strictObject({
  /** What the provider is told of the broker with each request. Default: `hookring@` and the host's name. */
  node: text.optional(),
  cluster: text.optional(),
  /** Paths of PEM files, for https. `certFile` and `keyFile` show the provider who calls. */
  tls: z
    .strictObject({
      caFile: file.optional(),
      certFile: file.optional(),
      keyFile: file.optional(),
      /** The name in the provider's certificate, where it is not the host's. */
      serverName: text.optional(),
    })
    .refine(({ certFile, keyFile }) => (certFile === undefined) === (keyFile === undefined), {
      message: 'certFile and keyFile go together',
    })
    .optional(),
  /**
   * How often a connection on which nothing happens is tried, in milliseconds. Left out: never, since some servers end
   * connections that do so.
   */
  keepaliveMs: z.number().int().min(1_000).max(2_147_483_647).optional(),
  /** Connections to the provider. One carries many requests at once; some servers bound how many. */
  poolSize: z.number().int().min(1).max(64).default(1),
  /** Of mqtt@1: asks OnClientAuthorize (SUBSCRIBE, by the message's topic) about each delivery too. EMQX does not. */
  authorizeDeliveries: z.boolean().default(false),
})

export type ProviderConfig = z.output<typeof providerConfigSchema>
