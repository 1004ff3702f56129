#include "deploy/redis/certs.h"

#include "common/base/buf.h"
#include "common/base/file.h"
#include "deploy/redis/private_file.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOST_MAX = 253, NAMES_MAX = 8192, SERIAL_BYTES = 16, EARLIER_S = 3600 };

/* A certificate and its key. */
struct pair {
    X509 *cert;
    EVP_PKEY *key;
};

static void pair_release(struct pair *p)
{
    X509_free(p->cert);
    EVP_PKEY_free(p->key);
    *p = (struct pair){0};
}

static int fail_tls(struct pl_error *err, const char *what)
{
    const unsigned long code = ERR_get_error();
    const char *why = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return pl_fail(err, PL_ENOMEM, "%s: %s", what, why ? why : "OpenSSL does not say why");
}

/* ---- what a certificate says ---- */

static int add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509_EXTENSION *extension;
    X509V3_CTX at;
    int good;

    X509V3_set_ctx(&at, issuer, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &at, nid, value);
    good = extension && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return good;
}

static int set_serial(X509 *cert)
{
    unsigned char bytes[SERIAL_BYTES];
    BIGNUM *number = NULL;
    int good = RAND_bytes(bytes, sizeof bytes) == 1;

    bytes[0] &= 0x7f; /* a positive number */
    if (good)
        number = BN_bin2bn(bytes, sizeof bytes, NULL);
    good = good && number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
    BN_free(number);
    return good;
}

struct wish {
    const char *name, *usage, *names; /* names: "DNS:a,IP:b", or NULL */
    size_t days;
};

static int fill(X509 *cert, EVP_PKEY *key, X509 *issuer, const struct wish *wish)
{
    X509_NAME *name = X509_get_subject_name(cert);
    const bool ca = issuer == cert;
    int good = X509_set_version(cert, 2) == 1 && set_serial(cert) &&
               X509_gmtime_adj(X509_getm_notBefore(cert), -EARLIER_S) &&
               X509_time_adj_ex(X509_getm_notAfter(cert), (int)wish->days, 0, NULL) &&
               X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                          (const unsigned char *)wish->name, -1, -1, 0) == 1 &&
               X509_set_issuer_name(cert, X509_get_subject_name(issuer)) == 1 &&
               X509_set_pubkey(cert, key) == 1 &&
               add_extension(cert, issuer, NID_basic_constraints,
                             ca ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE") &&
               add_extension(cert, issuer, NID_key_usage,
                             ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature") &&
               add_extension(cert, issuer, NID_subject_key_identifier, "hash");

    if (good && !ca)
        good = add_extension(cert, issuer, NID_authority_key_identifier, "keyid") &&
               add_extension(cert, issuer, NID_ext_key_usage, wish->usage);
    if (good && wish->names)
        good = add_extension(cert, issuer, NID_subject_alt_name, wish->names);
    return good;
}

/* Signed by `issuer`; NULL: by itself. */
static int make(const struct wish *wish, const struct pair *issuer, struct pair *ret_pair,
                struct pl_error *err)
{
    struct pair p = {X509_new(), EVP_EC_gen("P-256")};

    if (!p.cert || !p.key || !fill(p.cert, p.key, issuer ? issuer->cert : p.cert, wish) ||
        X509_sign(p.cert, issuer ? issuer->key : p.key, EVP_sha256()) == 0) {
        pair_release(&p);
        return fail_tls(err, wish->name);
    }
    *ret_pair = p;
    return PL_OK;
}

/* ---- hosts ---- */

static bool is_address(const char *host)
{
    unsigned char bytes[16];

    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

/* Letters, digits, '-', '.', and '*' for the first part. */
static bool is_name(const char *host)
{
    size_t n = strncmp(host, "*.", 2) == 0 ? 2 : 0;

    if (!host[n] || strlen(host) > HOST_MAX)
        return false;
    while (isalnum((unsigned char)host[n]) || (host[n] && strchr("-._", host[n])))
        n++;
    return !host[n];
}

static int print_names(const struct pl_redis_certs *c, struct pl_buf *names, struct pl_error *err)
{
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && i < c->host_count; i++) {
        const char *host = c->hosts[i];
        const bool address = is_address(host);

        if (!address && !is_name(host))
            return pl_fail(err, PL_EINVAL, "'%.80s' is no name of a host, and no address", host);
        rc = pl_buf_printf(names, "%s%s:%s", i > 0 ? "," : "", address ? "IP" : "DNS", host);
    }
    return rc < 0 ? pl_fail(err, rc, "too many hosts") : PL_OK;
}

/* ---- files ---- */

static char *path_of(const struct pl_redis_certs *c, const char *name, const char *end)
{
    return pl_strf("%s/%s.%s", c->dir, name, end);
}

/* The key before the certificate, so that one that is there has its key. */
static int save(const struct pl_redis_certs *c, const char *name, const struct pair *p,
                struct pl_error *err)
{
    int rc = PL_OK;

    for (int i = 0; rc == PL_OK && i < 2; i++) {
        const bool key = i == 0;
        char *path = path_of(c, name, key ? "key" : "crt");
        struct pl_outfile out = {0};

        rc = !path ? pl_fail(err, PL_ENOMEM, "no memory for a certificate")
             : key ? pl_private_open(path, &out, err)
                   : pl_outfile_open(path, &out, err);
        if (rc == PL_OK &&
            (key ? PEM_write_PrivateKey(out.stream, p->key, NULL, NULL, 0, NULL, NULL)
                 : PEM_write_X509(out.stream, p->cert)) != 1)
            rc = fail_tls(err, path);
        if (rc == PL_OK)
            rc = pl_outfile_commit(&out, err);
        else
            pl_outfile_abort(&out);
        free(path);
    }
    return rc;
}

static void *read_pem(const char *path, bool key)
{
    FILE *f = fopen(path, "re");
    void *found = NULL;

    if (!f)
        return NULL;
    found = key ? (void *)PEM_read_PrivateKey(f, NULL, NULL, (void *)"")
                : (void *)PEM_read_X509(f, NULL, NULL, NULL);
    fclose(f);
    return found;
}

static int load(const struct pl_redis_certs *c, const char *name, struct pair *ret_pair,
                struct pl_error *err)
{
    char *cert = path_of(c, name, "crt"), *key = path_of(c, name, "key");
    struct pair p = {0};
    int rc = PL_OK;

    if (!cert || !key) {
        rc = pl_fail(err, PL_ENOMEM, "no memory for a certificate");
    } else {
        p.cert = read_pem(cert, false);
        p.key = read_pem(key, true);
        ERR_clear_error();
        if (!p.cert)
            rc = pl_fail(err, PL_EFORMAT, "'%s' holds no certificate in PEM form", cert);
        else if (!p.key)
            rc = pl_fail(err, PL_EFORMAT,
                         "'%s' holds no key that can be read; without it nothing new can be signed",
                         key);
        else if (X509_check_private_key(p.cert, p.key) != 1)
            rc = pl_fail(err, PL_EFORMAT, "'%s' is not the key of '%s'", key, cert);
    }
    if (rc == PL_OK)
        *ret_pair = p;
    else
        pair_release(&p);
    free(cert);
    free(key);
    return rc;
}

static bool exists(const struct pl_redis_certs *c, const char *name, const char *end)
{
    char *path = path_of(c, name, end);
    const bool there = !path || pl_path_exists(path);

    free(path);
    return there;
}

static int authority(const struct pl_redis_certs *c, struct pair *ret_ca, struct pl_error *err)
{
    const struct wish wish = {.name = "plait Redis authority", .days = c->ca_days};
    int rc;

    if (exists(c, "ca", "crt"))
        return load(c, "ca", ret_ca, err);
    rc = make(&wish, NULL, ret_ca, err);
    if (rc == PL_OK)
        rc = save(c, "ca", ret_ca, err);
    return rc;
}

int pl_redis_certs_make(const struct pl_redis_certs *certs, struct pl_error *err)
{
    struct pair ca = {0}, made = {0};
    struct pl_buf names;
    int rc;

    pl_buf_init(&names, NAMES_MAX);
    rc = print_names(certs, &names, err);
    if (rc == PL_OK && !certs->renew &&
        (exists(certs, "redis", "crt") || exists(certs, "client", "crt")))
        rc = pl_fail(err, PL_EINVAL,
                     "'%s' holds certificates already; --renew makes new ones of the same "
                     "authority",
                     certs->dir);
    if (rc == PL_OK)
        rc = pl_dir_make(certs->dir, err);
    if (rc == PL_OK)
        rc = authority(certs, &ca, err);
    for (int i = 0; rc == PL_OK && i < 2; i++) {
        const struct wish wish = {.name = i == 0 ? "redis" : "plait client",
                                  .usage = i == 0 ? "serverAuth" : "clientAuth",
                                  .names = i == 0 ? names.data : NULL,
                                  .days = certs->days};

        rc = make(&wish, &ca, &made, err);
        if (rc == PL_OK)
            rc = save(certs, i == 0 ? "redis" : "client", &made, err);
        pair_release(&made);
    }
    pair_release(&ca);
    pl_buf_release(&names);
    return rc;
}
