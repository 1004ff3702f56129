/* CRC-32C (Castagnoli; polynomial 0x1EDC6F41, reflected), as RFC 3720 has it. */
#ifndef PL_BASE_CRC_H
#define PL_BASE_CRC_H

#include <stddef.h>
#include <stdint.h>

uint32_t pl_crc32c(const void *bytes, size_t len);

#endif
