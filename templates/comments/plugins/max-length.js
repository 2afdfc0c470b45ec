import { definePlugin, reject } from 'hookring/plugin'
import { z } from 'zod'
import { comments } from '../contract.js'

export default definePlugin(comments, {
  name: 'max-length',
  config: z.object({ characters: z.int().positive() }),
  setup: ({ config, log }) => ({
    onComment({ text }) {
      if (text.length > config.characters) return reject(`at most ${config.characters} characters are allowed`)
    },
    onPublished({ author }) {
      log.info('published', { author })
    },
  }),
})
