/** The plugin of case `sizes`: reads the event's last byte. Runs in a lane. */
import { definePlugin, reject } from 'hookring/plugin'
import { blobs, isBlobRefused } from './blob-contract.js'

export default definePlugin(blobs, {
  name: 'blob-check',
  setup: () => ({
    onBlob: ({ body }) => (isBlobRefused(body) ? reject('refused') : undefined),
  }),
})
