DROP TABLE utm_templates;
DROP TABLE link_versions;
DROP TABLE links;
DROP TABLE domains;
