DROP TABLE qr_logos;
