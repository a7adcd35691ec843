/** Headers by which nobody frames, sniffs or caches what the API says; `app.ts` and whoever answers before it send them. */

/** The Content-Security-Policy of answers that are no pages. */
const NO_CONTENT_POLICY = "default-src 'none'; frame-ancestors 'none'"

/** Headers of every answer that is no page. */
export const securityHeaders: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'content-security-policy': NO_CONTENT_POLICY,
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}
