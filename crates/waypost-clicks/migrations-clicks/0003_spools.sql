CREATE TABLE click_spools (
  edge_id {text} NOT NULL PRIMARY KEY
){clustered};
