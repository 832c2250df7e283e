-- The logo that an account has in the middle of the QR codes of its links, as a PNG that this product has written.
CREATE TABLE qr_logos (
  account_id BIGINT NOT NULL PRIMARY KEY REFERENCES accounts (id),
  png {blob} NOT NULL,
  updated_at BIGINT NOT NULL
);
