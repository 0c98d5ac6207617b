// An OpenID Connect provider on 127.0.0.1, for the tests.
//
// usage: node provider.js PORT CLIENT_ID CLIENT_SECRET REDIRECT_URI…
//
// Whoever is named in its sign-in form (POST login=…) is signed in; consent is given by itself.
// An address that begins with "unverified" has not been verified by the provider.

import * as library from 'oidc-provider';

const Provider = library.default ?? library.Provider;
const [port, clientId, clientSecret, ...redirectUris] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: clientId,
      client_secret: clientSecret,
      redirect_uris: redirectUris,
      response_types: ['code'],
      grant_types: ['authorization_code'],
    },
  ],
  claims: {
    openid: ['sub'],
    email: ['email', 'email_verified'],
    profile: ['name', 'given_name', 'family_name', 'picture'],
  },
  conformIdTokenClaims: false, // the claims are in the id_token, as Google's are
  pkce: { required: () => false },
  features: { devInteractions: { enabled: false } },
  cookies: { keys: ['for tests only'] },
  ttl: {
    AccessToken: 600,
    AuthorizationCode: 60,
    Grant: 600,
    IdToken: 600,
    Interaction: 600,
    Session: 600,
  },
  findAccount: (_context, id) => ({
    accountId: id,
    claims: () => ({
      sub: id,
      email: id,
      email_verified: !id.startsWith('unverified'),
      name: id.split('@')[0],
    }),
  }),
  interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
  async loadExistingGrant(context) {
    const grant = new context.oidc.provider.Grant({
      clientId: context.oidc.client.clientId,
      accountId: context.oidc.session.accountId,
    });
    grant.addOIDCScope('openid email profile');
    await grant.save();
    return grant;
  },
});

const body = async (request) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return new URLSearchParams(Buffer.concat(chunks).toString());
};

provider.use(async (context, next) => {
  if (!context.path.startsWith('/interaction/')) return next();
  if (context.method !== 'POST') {
    context.type = 'html';
    context.body = '<!doctype html><form method="post"><input name="login"></form>';
    return undefined;
  }
  const accountId = (await body(context.req)).get('login');
  context.respond = false;
  const result = accountId ? { login: { accountId } } : { error: 'access_denied' };
  await provider.interactionFinished(context.req, context.res, result, {
    mergeWithLastSubmission: false,
  });
  return undefined;
});

const server = provider.listen(Number(port), '127.0.0.1', () => console.log('READY', issuer));
process.on('SIGTERM', () => server.close(() => process.exit(0)));
