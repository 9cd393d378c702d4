/* Zone files and imports: many rows at once; inside dns/records_*.c only. */
#ifndef DNS_RECORDS_LOAD_H
#define DNS_RECORDS_LOAD_H

#include "core/util/token.h"
#include "dns/records_written.h"

/* The records of one master file, sorted by key, type and RDATA, each once. */
struct file_rows {
    struct buf data; /* per row: line, TTL, type, key length, RDATA length, key, RDATA */
    size_t *at;
    size_t n, cap;
};
void file_rows_init(struct file_rows *rows);
void file_rows_clear(struct file_rows *rows);
MUST_USE struct err file_rows_add(struct file_rows *rows, unsigned line, const struct dns_rr *rr);
void file_rows_sort(struct file_rows *rows);
/* Row i; *line is where it stands. */
void file_rows_get(const struct file_rows *rows, size_t i, struct row *out, unsigned *line);

/* One zone whose file changed since it was read last. */
struct file_load {
    int zone;
    struct file_rows rows;
    uint8_t digest[SHA256_LEN];
    bool is_new; /* differs from what the store has */
};
/* Text of a master file into rows, checked on its own; faults are lines in problems and ERR_MALFORMED. */
MUST_USE struct err load_parse(const struct records *records, int zone, const char *label,
                               const char *text, size_t len, struct file_rows *rows,
                               struct buf *problems);
/* With the rows that the store has from other sources than `except`, in a transaction; faults as
 * above. RECORD_DERIVED: with all. */
MUST_USE struct err load_check(const struct records *records, struct db *db, int zone,
                               const char *label, const struct file_rows *rows,
                               enum record_source except, struct buf *problems);
/* The zone's rows of this source become these; is_keeping: none goes. change: touched names; NULL:
 * nobody is told. *changed_n: rows. */
struct load_target {
    struct records *records;
    struct db *db;
    int zone;
    enum record_source source;
    bool is_keeping;
    struct zone_change *change;
};
MUST_USE struct err load_apply(const struct load_target *target, const struct file_rows *rows,
                               size_t *changed_n);

/* --- records_files.c --- */
/* Read the file of a zone when it is not the one that the store has; ERR_CONFIG or ERR_IO otherwise,
 * with problems filled. */
MUST_USE struct err load_file(const struct records *records, int zone,
                              const uint8_t stored_digest[SHA256_LEN], struct file_load *out,
                              struct buf *problems);
/* A serial that the file's SOA asks for; false: it has none. */
bool load_soa_serial(const struct records *records, int zone, const struct file_rows *rows,
                     uint32_t *out);

/* --- records_state.c: rows of record_zone ----------------------------------------------------------- */
struct zone_row {
    int64_t id;
    uint32_t serial;
    uint8_t digest[SHA256_LEN], file_digest[SHA256_LEN]; /* zeros: none */
    bool is_written;
    size_t journal_n;
};
/* ERR_NOT_FOUND. */
MUST_USE struct err zone_row_get(struct db *db, const char *name, struct zone_row *out);
MUST_USE struct err zone_row_new(struct db *db, const char *name, uint32_t serial);
MUST_USE struct err zone_row_set(struct db *db, const struct zone_row *row);
/* Does a table of another module exist here? */
MUST_USE struct err table_exists(struct db *db, const char *name, bool *out);
/* The delegate zone's serial of databases that were made before this module; 0. */
MUST_USE struct err old_serial(struct db *db, uint32_t *out);
/* The digest of what PTR records were made from: zones, and addresses of ours. */
MUST_USE struct err reverse_get(struct db *db, uint8_t out[SHA256_LEN]);
MUST_USE struct err reverse_set(struct db *db, const uint8_t digest[SHA256_LEN]);
MUST_USE struct err count_zone(const struct records *records, struct db *db, int zone,
                               size_t *records_n, size_t *known_n);

/* --- records.c --- */
/* *out is the caller's to close, also on failure. */
MUST_USE struct err records_new(const struct config *cfg, struct store *store,
                                struct zone_db *zones, struct records **out);
/* The exact names of configured clients. */
MUST_USE struct err records_known_clients(struct records *records, struct db *db, bool *is_any_new);

/* --- records_open.c --- */
/* What a zone is made from besides its rows. */
MUST_USE struct err records_zone_digest(const struct records *records, int zone,
                                        uint8_t out[SHA256_LEN]);

#endif
