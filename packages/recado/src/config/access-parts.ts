/**
 * Parts that logins and rights of a listener may be made of, as the configuration describes them: tokens, webhooks,
 * dynamic security, the service of mosquitto-go-auth. `access.ts` and `plugins.ts` make them, `../access.ts` opens them.
 */

export interface JwtConfig {
  /** Key file; one of these three is given. */
  readonly keyFile: string | null
  readonly secretFile: string | null
  /** The secret itself, of a plugin's option. */
  readonly secret: string | null
  readonly jwksUrl: string | null
  /** Accepted algorithms; null for all that the kind of key allows. */
  readonly algorithms: readonly string[] | null
  readonly issuer: string | null
  readonly audience: string | null
  readonly usernameClaim: string
  readonly clientIdClaim: string | null
  readonly aclClaim: string
  readonly aclRequired: boolean
  readonly expiryRequired: boolean
  readonly tokenIn: 'password' | 'username'
}

export interface WebhookConfig {
  readonly loginUrl: string | null
  readonly rightsUrl: string | null
  readonly timeoutMs: number
  readonly cacheSeconds: number
  readonly concurrency: number
  readonly headerFile: string | null
}

export interface DynamicSecurityConfig {
  readonly path: string
  /** A file with the first password of `admin`; null: none. */
  readonly passwordInitFile: string | null
}

/** The service of the back-end `http`. */
export interface GoAuthServiceConfig {
  /** null: it is not asked about logins. */
  readonly userUrl: string | null
  readonly superuserUrl: string | null
  /** null: it is not asked about topics. */
  readonly aclUrl: string | null
  readonly params: 'json' | 'form'
  readonly response: 'status' | 'text' | 'json'
  readonly timeoutMs: number
  /** 0: every question is asked. */
  readonly cacheSeconds: number
}

export interface GoAuthConfig {
  /** null: no back-end `http`. */
  readonly service: GoAuthServiceConfig | null
  readonly denySpecialCharacters: boolean
  /** `acl_file` of the configuration says who may do what, and nothing else is asked. */
  readonly isFileAlone: boolean
}
