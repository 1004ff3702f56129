#include "common/link/redis_tls.h"

#include "common/base/buf.h"
#include "common/base/secret.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NAMES_MAX = 200 };

struct pl_redis_tls {
    SSL_CTX *context;
    SSL *ssl;
    char *ca, *cert;       /* where the files are; "" none */
    char names[NAMES_MAX]; /* that Redis' certificate is for, where it is not for the right one */
    char until[40];        /* or when it ran out, or begins to be one */
};

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* The oldest error of OpenSSL's queue; the others go. 0: there is none. */
static unsigned long first_error(void)
{
    const unsigned long code = ERR_get_error();

    ERR_clear_error();
    return code;
}

static const char *reason_of(unsigned long code)
{
    const char *text = code ? ERR_reason_error_string(code) : NULL;

    return text ? text : "no reason is given";
}

/* ---- what is wrong with Redis' certificate ---- */

static void keep_time(char to[40], const ASN1_TIME *at)
{
    struct tm t;

    if (ASN1_TIME_to_tm(at, &t) == 1)
        strftime(to, 40, "%Y-%m-%d %H:%M UTC", &t);
}

static void keep_names(char to[NAMES_MAX], X509 *cert)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    size_t len = 0;

    for (int i = 0; i < sk_GENERAL_NAME_num(names) && len + 64 < NAMES_MAX; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        char ip[INET6_ADDRSTRLEN];
        const char *text = NULL;

        if (name->type == GEN_DNS) {
            text = (const char *)ASN1_STRING_get0_data(name->d.dNSName);
        } else if (name->type == GEN_IPADD && (ASN1_STRING_length(name->d.iPAddress) == 4 ||
                                               ASN1_STRING_length(name->d.iPAddress) == 16)) {
            const ASN1_OCTET_STRING *at = name->d.iPAddress;

            text = inet_ntop(ASN1_STRING_length(at) == 4 ? AF_INET : AF_INET6,
                             ASN1_STRING_get0_data(at), ip, sizeof ip);
        }
        if (text)
            len +=
                (size_t)snprintf(to + len, NAMES_MAX - len, "%s%.60s", len > 0 ? ", " : "", text);
    }
    GENERAL_NAMES_free(names);
    for (char *at = to; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = '?';
}

/* Called for each certificate of the chain; keeps what the sentence needs. */
static int look(int good, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct pl_redis_tls *t = ssl ? SSL_get_app_data(ssl) : NULL;
    X509 *cert = X509_STORE_CTX_get_current_cert(store);

    if (good || !t || !cert)
        return good;
    switch (X509_STORE_CTX_get_error(store)) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        keep_names(t->names, cert);
        break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        keep_time(t->until, X509_get0_notAfter(cert));
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        keep_time(t->until, X509_get0_notBefore(cert));
        break;
    }
    return good;
}

static int fail_verify(const struct pl_redis_tls *t, const char *host, long why,
                       struct pl_error *err)
{
    const char *ca = t->ca[0] ? t->ca : "the system's authorities (redis.tls_ca is empty)";
    const char *quote = t->ca[0] ? "'" : "";

    switch (why) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return pl_fail(err, PL_EINVAL,
                       "its certificate is not for '%s' but for %s: connect to a name that it is "
                       "for (link.redis), or give Redis one for this name (plait redis certs)",
                       host, t->names[0] ? t->names : "no name at all");
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return pl_fail(err, PL_EINVAL,
                       "its certificate ran out on %s: give Redis a new one (plait redis certs), "
                       "or set this machine's clock right",
                       t->until);
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return pl_fail(err, PL_EINVAL,
                       "its certificate begins to count on %s: is this machine's clock right?",
                       t->until);
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return pl_fail(err, PL_EINVAL,
                       "its certificate is not vouched for by %s%s%s: it is another Redis, or "
                       "redis.tls_ca must be the authority that signed it",
                       quote, ca, quote);
    default:
        return pl_fail(err, PL_EINVAL, "its certificate does not count: %s",
                       X509_verify_cert_error_string(why));
    }
}

/* ---- what is wrong with the connection ---- */

static int fail_demanded(const struct pl_redis_tls *t, struct pl_error *err)
{
    if (t->cert[0])
        return pl_fail(err, PL_EINVAL,
                       "it does not take the certificate '%s': it must be signed by an authority "
                       "of Redis' tls-ca-cert-file, and not have run out",
                       t->cert);
    return pl_fail(err, PL_EINVAL,
                   "it demands a certificate of its clients (tls-auth-clients yes): set "
                   "redis.tls_cert and redis.tls_key");
}

/* `code` is what OpenSSL tells of a read, a write or a handshake that ended. */
static int fail_with(const struct pl_redis_tls *t, unsigned long code, struct pl_error *err)
{
    if (ERR_GET_LIB(code) == ERR_LIB_SSL)
        switch (ERR_GET_REASON(code)) {
        case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
        case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
        case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
            return fail_demanded(t, err);
        case SSL_R_WRONG_VERSION_NUMBER:
        case SSL_R_PACKET_LENGTH_TOO_LONG:
        case SSL_R_HTTP_REQUEST:
        case SSL_R_BAD_RECORD_TYPE:
            return pl_fail(err, PL_EINVAL,
                           "it does not speak TLS on this port: is it the plain one "
                           "(redis://, not rediss://)?");
        case SSL_R_UNSUPPORTED_PROTOCOL:
        case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
            return pl_fail(err, PL_EINVAL, "it does not speak TLS 1.2 or later");
        case SSL_R_UNEXPECTED_EOF_WHILE_READING:
            return pl_fail(err, PL_EIO, "the connection was closed");
        }
    return pl_fail(err, PL_EIO, "TLS: %s", reason_of(code));
}

/* 0 with *ret_events: later; else the error. `n` is what OpenSSL returned. */
static int later_or_fail(struct pl_redis_tls *t, int n, short *ret_events, struct pl_error *err)
{
    switch (SSL_get_error(t->ssl, n)) {
    case SSL_ERROR_WANT_READ:
        *ret_events = POLLIN;
        return PL_OK;
    case SSL_ERROR_WANT_WRITE:
        *ret_events = POLLOUT;
        return PL_OK;
    case SSL_ERROR_ZERO_RETURN:
        return pl_fail(err, PL_EIO, "the connection was closed");
    case SSL_ERROR_SYSCALL:
        return pl_fail_errno(err, "the connection was lost");
    default:
        return fail_with(t, first_error(), err);
    }
}

int pl_redis_tls_read(struct pl_redis_tls *tls, void *to, int size, short *ret_events,
                      struct pl_error *err)
{
    int n;

    ERR_clear_error();
    n = SSL_read(tls->ssl, to, size);
    return n > 0 ? n : later_or_fail(tls, n, ret_events, err);
}

int pl_redis_tls_write(struct pl_redis_tls *tls, const void *from, int size, short *ret_events,
                       struct pl_error *err)
{
    struct pl_error why = {0};
    char answer[64];
    int n, rc;

    ERR_clear_error();
    n = SSL_write(tls->ssl, from, size);
    if (n > 0)
        return n;
    rc = later_or_fail(tls, n, ret_events, err);
    /* What Redis did not like stands in what it sent before it hung up. */
    if (rc == PL_EIO &&
        pl_redis_tls_read(tls, answer, sizeof answer, ret_events, &why) == PL_EINVAL)
        return pl_fail(err, PL_EINVAL, "%s", why.text);
    return rc;
}

/* ---- opening ---- */

static int no_passphrase(char *to, int size, int writing, void *at)
{
    (void)to, (void)size, (void)writing, (void)at;
    return -1; /* nobody is there to be asked */
}

static int fail_file(const char *setting, const char *path, struct pl_error *err)
{
    return pl_fail(err, PL_EINVAL, "%s: '%s' cannot be used: %s", setting, path,
                   reason_of(first_error()));
}

static int use_authorities(struct pl_redis_tls *t, struct pl_error *err)
{
    if (!t->ca[0])
        return SSL_CTX_set_default_verify_paths(t->context) == 1
                   ? PL_OK
                   : pl_fail(err, PL_EINVAL, "the system's authorities cannot be read");
    return SSL_CTX_load_verify_file(t->context, t->ca) == 1 ? PL_OK
                                                            : fail_file("redis.tls_ca", t->ca, err);
}

static int use_own(struct pl_redis_tls *t, const char *key, struct pl_error *err)
{
    int rc;

    if (!t->cert[0])
        return PL_OK;
    rc = pl_secret_check(key, err);
    if (rc < 0)
        return rc;
    if (SSL_CTX_use_certificate_chain_file(t->context, t->cert) != 1)
        return fail_file("redis.tls_cert", t->cert, err);
    if (SSL_CTX_use_PrivateKey_file(t->context, key, SSL_FILETYPE_PEM) == 1)
        return PL_OK;
    if (ERR_GET_LIB(ERR_peek_error()) == ERR_LIB_X509)
        return pl_fail(err, PL_EINVAL, "redis.tls_key: '%s' is not the key of '%s'", key, t->cert);
    return fail_file("redis.tls_key", key, err);
}

/* Whether `host` is an address; else it is a name, which Redis is told of too. */
static int expect_name(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

    if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1)
        return 1;
    ERR_clear_error();
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static int prepare(struct pl_redis_tls *t, int fd, const char *host, const char *key,
                   struct pl_error *err)
{
    int rc;

    t->context = SSL_CTX_new(TLS_client_method());
    if (!t->context || SSL_CTX_set_min_proto_version(t->context, TLS1_2_VERSION) != 1)
        return pl_fail(err, PL_ENOMEM, "TLS cannot be begun: %s", reason_of(first_error()));
    SSL_CTX_set_verify(t->context, SSL_VERIFY_PEER, look);
    SSL_CTX_set_default_passwd_cb(t->context, no_passphrase);
    (void)SSL_CTX_set_mode(t->context,
                           SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    rc = use_authorities(t, err);
    if (rc == PL_OK)
        rc = use_own(t, key, err);
    if (rc < 0)
        return rc;
    t->ssl = SSL_new(t->context);
    if (!t->ssl || SSL_set_app_data(t->ssl, t) != 1 || SSL_set_fd(t->ssl, fd) != 1 ||
        !expect_name(t->ssl, host))
        return pl_fail(err, PL_ENOMEM, "TLS cannot be begun: %s", reason_of(first_error()));
    return PL_OK;
}

static int shake_hands(struct pl_redis_tls *t, int fd, const char *host, uint64_t patience_ms,
                       struct pl_error *err)
{
    const uint64_t end = now_ms() + patience_ms;

    for (;;) {
        struct pollfd at = {.fd = fd};
        uint64_t now;
        long why;
        int n, rc;

        ERR_clear_error();
        n = SSL_connect(t->ssl);
        if (n == 1)
            return PL_OK;
        rc = later_or_fail(t, n, &at.events, err);
        why = SSL_get_verify_result(t->ssl);
        if (rc < 0)
            return why == X509_V_OK ? rc : fail_verify(t, host, why, err);
        now = now_ms();
        if (now >= end || poll(&at, 1, (int)(end - now)) == 0)
            return pl_fail(err, PL_EIO,
                           "no answer to the TLS handshake in %.3g s: is it the plain port "
                           "(redis://, not rediss://)?",
                           (double)patience_ms / 1000.0);
    }
}

int pl_redis_tls_open(int fd, const char *host, const struct pl_redis_access *access,
                      uint64_t patience_ms, struct pl_redis_tls **ret_tls, struct pl_error *err)
{
    const char *cert = access->tls_cert ? access->tls_cert : "";
    const char *key = access->tls_key && access->tls_key[0] ? access->tls_key : cert;
    struct pl_redis_tls *t = calloc(1, sizeof *t);
    char *key_path = pl_secret_path(key);
    int rc;

    if (t) {
        t->ca = pl_secret_path(access->tls_ca ? access->tls_ca : "");
        t->cert = pl_secret_path(cert);
    }
    rc = t && t->ca && t->cert && key_path ? prepare(t, fd, host, key_path, err)
                                           : pl_fail(err, PL_ENOMEM, "no memory for TLS");
    if (rc == PL_OK)
        rc = shake_hands(t, fd, host, patience_ms, err);
    if (rc == PL_OK)
        *ret_tls = t;
    else
        pl_redis_tls_close(t);
    free(key_path);
    return rc;
}

void pl_redis_tls_close(struct pl_redis_tls *tls)
{
    if (!tls)
        return;
    SSL_free(tls->ssl);
    SSL_CTX_free(tls->context);
    free(tls->ca);
    free(tls->cert);
    free(tls);
    ERR_clear_error();
}
